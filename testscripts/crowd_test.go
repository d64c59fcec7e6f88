//go:build unix

package testscripts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A crowd of processes on an empty store: one request makes a key, and all
// answer with it. How long that takes is told, and not judged.
func TestCrowd(t *testing.T) {
	n := number(t, "VALETKEY_TEST_PROCESSES", 50)
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			s, v := inSandbox(t, store)
			bob := v.with("VALETKEY_VMS_USERNAME=bob", "VALETKEY_VMS_PASSWORD="+s.Password("bob").Reveal())
			defer v.clear()
			defer bob.clear()
			v.run("version")
			one := bob.duration("credential-process")
			starts, _ := v.crowd(n, "version")
			posts, requests := v.posts(), v.requests()
			all, answers := v.crowd(n, "credential-process")
			if len(answers) != 1 {
				t.Errorf("%d processes gave %d answers", n, len(answers))
			}
			if issued := v.posts() - posts; issued != 1 {
				t.Errorf("%d keys were asked for", issued)
			}
			requests = v.requests() - requests
			if requests > 5 {
				t.Errorf("%d requests reached VMS: those who wait for the one that issues ask, too", requests)
			}
			if keys := v.keys(); len(keys) != 1 || !answers[keys[0]] {
				t.Errorf("VMS has %v, the answers are %v", keys, answers)
			}
			report(t, "crowd-"+store, fmt.Sprintf(
				"%d processes, store %s: POSTs 1 of %d requests, distinct answers %d; one cold issue %v, the processes' own start %v, last answer after %v = %.2f of both\n",
				n, store, requests, len(answers), one.Round(time.Millisecond), starts.Round(time.Millisecond), all.Round(time.Millisecond),
				float64(all)/float64(one+starts)))
		})
	}
}

// crowd runs a command so many times at once. It returns when the last one has
// ended, and the access keys that were told.
func (v killed) crowd(n int, line ...string) (time.Duration, map[string]bool) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		answers = map[string]bool{}
		trouble = map[string]int{}
	)
	start := time.Now()
	for range n {
		wg.Go(func() {
			cmd := v.command(ctx, line...)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			err := cmd.Run()
			var document struct{ AccessKeyId string } //nolint:revive // as AWS has it
			_ = json.Unmarshal(out.Bytes(), &document)
			mu.Lock()
			defer mu.Unlock()
			if answers[document.AccessKeyId] = true; err != nil {
				trouble[fmt.Sprintf("%v: %s", err, &errs)]++
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	for what, times := range trouble {
		v.t.Errorf("%d of %d: %s", times, n, what)
	}
	return took, answers
}

// posts is how many requests for a key have reached VMS, requests how many of
// any kind have reached the sandbox.
func (v killed) posts() int    { return v.logged(`"method":"POST","path":"/api/s3keys/"`) }
func (v killed) requests() int { return v.logged("\n") }

func (v killed) logged(what string) int {
	v.t.Helper()
	log, err := os.ReadFile(filepath.Join(v.dir, "requests.jsonl"))
	if err != nil {
		v.t.Fatal(err)
	}
	return strings.Count(string(log), what)
}
