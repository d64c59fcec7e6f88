// Command bench measures what users wait for, as ratios within one run: against
// a program that prints hello, and against curl. Machines differ and are noisy,
// so the two sides of a ratio take turns and their medians are compared.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

func main() {
	rounds := flag.Int("rounds", 100, "how many `times` each side of a ratio runs")
	flag.Parse()
	if err := run(*rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const hello = "package main\n\nimport \"os\"\n\nfunc main() { _, _ = os.Stdout.WriteString(\"hello\\n\") }\n"

func run(rounds int) (err error) {
	dir, err := os.MkdirTemp("", "valetkey-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, greeter := filepath.Join(dir, "valetkey"), filepath.Join(dir, "hello")
	source := filepath.Join(dir, "hello.go")
	if err := os.WriteFile(source, []byte(hello), 0o600); err != nil {
		return err
	}
	for out, what := range map[string]string{binary: "github.com/valetkey/valetkey/cmd/valetkey", greeter: source} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, what) //nolint:gosec // our own programs
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", what, err)
		}
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	s, err := sandbox.Start(context.Background(), sandbox.Options{Binary: binary})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	env := s.ChildEnv(os.Environ())
	prepare := exec.Command(binary, "secrets", "set", "bench", "--stdin") //nolint:gosec // our own program
	prepare.Env, prepare.Stdin, prepare.Stderr = env, strings.NewReader("value\n"), os.Stderr
	if err := prepare.Run(); err != nil {
		return err
	}

	fmt.Printf("%d rounds, medians; the two sides take turns\n\n", rounds)
	var rows [][3]string
	ratioIn := func(env []string, what string, limit float64, ours, theirs []string) error {
		a, b, err := duel(env, rounds, ours, theirs)
		if err != nil {
			return err
		}
		rows = append(rows, [3]string{what, fmt.Sprintf("%.2f", float64(a)/float64(b)), fmt.Sprintf("at most %.1f  (%s : %s)", limit, a.Round(10*time.Microsecond), b.Round(10*time.Microsecond))})
		return nil
	}
	ratio := func(what string, limit float64, ours, theirs []string) error {
		return ratioIn(env, what, limit, ours, theirs)
	}
	if err := ratio("version : hello", 2, []string{binary, "version"}, []string{greeter}); err != nil {
		return err
	}
	for _, store := range stores {
		own := append(slices.Clip(env), store.env...)
		line := []string{binary, "credential-process"}
		// The first call issues the key or, once there is one, copies it.
		if err := fill(own, line); err != nil {
			if !store.optional {
				return fmt.Errorf("%s store: %w", store.name, err)
			}
			fmt.Printf("no %s store here: %v\n", store.name, err)
			continue
		}
		err := ratioIn(own, "warm credential-process ("+store.name+" store) : hello", store.limit, line, []string{greeter})
		clean(own, binary)
		if err != nil {
			return err
		}
	}
	if curl, err := exec.LookPath("curl"); err != nil {
		fmt.Println("no curl here: secrets get is not compared")
	} else {
		get := []string{curl, "-s", "--cacert", s.CAFile(), "-H", "X-Vault-Token: " + token(env), s.Vault() + "/v1/secret/data/demo/hello-job"}
		if err := ratio("secrets get : curl of the same path", 1.3, []string{binary, "secrets", "get", "bench"}, get); err != nil {
			return err
		}
	}
	for _, r := range rows {
		fmt.Printf("%-46s %6s   %s\n", r[0], r[1], r[2])
	}
	fmt.Printf("%-46s %6.1f   at most 30\n\n", "size of the binary in MB", float64(info.Size())/1e6)
	return initTrace(binary, env)
}

// stores are where a key can lie. The sandbox has the file store and the Vault of
// the vault store, whose copy lies in the file store; others are what this system has.
var stores = []struct {
	name     string
	limit    float64
	optional bool
	env      []string
}{
	{"file", 3, false, []string{"VALETKEY_STORE=file"}},
	{"vault", 3, false, []string{"VALETKEY_STORE=vault", "VALETKEY_TOKENS_STORE=file"}},
	{"kernel", 3, true, []string{"VALETKEY_STORE=kernel"}},
	{"os", 6, true, []string{"VALETKEY_STORE=os"}},
}

// fill runs a command whose answer says nothing here.
func fill(env, line []string) error {
	cmd := exec.Command(line[0], line[1:]...) //nolint:gosec // our own program
	cmd.Env = env
	if message, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(message))
	}
	return nil
}

// clean deletes the keys of a store, so that VMS has room for the next, and no
// keyring of a person keeps any.
func clean(env []string, binary string) {
	list := exec.Command(binary, "keys", "list", "-o", "json", "--jq", ".[].access_key") //nolint:gosec // our own program
	list.Env = env
	out, err := list.Output()
	for _, id := range strings.Fields(string(out)) {
		err = errors.Join(err, fill(env, []string{binary, "keys", "delete", "--yes", id}))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: keys are left behind:", err)
	}
}

func token(env []string) string {
	for _, e := range env {
		if t, found := strings.CutPrefix(e, "VALETKEY_VAULT_TOKEN="); found {
			return t
		}
	}
	return ""
}

// duel returns the median times of two commands that take turns.
func duel(env []string, rounds int, a, b []string) (time.Duration, time.Duration, error) {
	times := [2][]time.Duration{}
	for i := -3; i < rounds; i++ { // the first rounds warm up
		for side, args := range [][]string{a, b} {
			cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // our own programs and curl
			cmd.Env = env
			began := time.Now()
			if err := cmd.Run(); err != nil {
				return 0, 0, fmt.Errorf("run %s: %w", filepath.Base(args[0]), err)
			}
			if i >= 0 {
				times[side] = append(times[side], time.Since(began))
			}
		}
	}
	for _, t := range times {
		slices.Sort(t)
	}
	return times[0][rounds/2], times[1][rounds/2], nil
}

var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock, (\d+) bytes`)

// initTrace prints which packages cost most before main begins: the median of several starts.
func initTrace(binary string, env []string) error {
	clock, bytesOf := map[string][]float64{}, map[string]string{}
	for range 15 {
		cmd := exec.Command(binary, "version") //nolint:gosec // our own program
		cmd.Env = append(slices.Clone(env), "GODEBUG=inittrace=1")
		var trace bytes.Buffer
		cmd.Stderr = &trace
		if err := cmd.Run(); err != nil {
			return err
		}
		for _, m := range initLine.FindAllStringSubmatch(trace.String(), -1) {
			ms, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				return err
			}
			clock[m[1]], bytesOf[m[1]] = append(clock[m[1]], ms), m[3]
		}
	}
	names := make([]string, 0, len(clock))
	for name := range clock {
		sort.Float64s(clock[name])
		names = append(names, name)
	}
	median := func(name string) float64 { return clock[name][len(clock[name])/2] }
	sort.Slice(names, func(i, j int) bool { return median(names[i]) > median(names[j]) })
	fmt.Println("package initialisation that costs most (GODEBUG=inittrace=1, medians of 15 starts)")
	for _, name := range names[:min(10, len(names))] {
		fmt.Printf("  %6.3f ms  %7s bytes  %s\n", median(name), bytesOf[name], name)
	}
	return nil
}
