package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valetkey/valetkey/pkg/sandbox"
	"github.com/valetkey/valetkey/pkg/sandbox/vmstest"
)

// lister answers key lists in another shape, as long as one is set: KEY in it is
// the oldest key, or NONE.
type lister struct{ shape atomic.Pointer[string] }

func (l *lister) answer(keys []vmstest.ListedKey) any {
	shape := l.shape.Load()
	if shape == nil {
		return map[string]any{"results": keys, "count": len(keys), "next": nil, "previous": nil}
	}
	key := "NONE"
	if len(keys) > 0 {
		key = keys[0].AccessKey
	}
	return []byte(strings.ReplaceAll(*shape, "KEY", key))
}

// orphaned is somebody whose VMS has a key of a lost answer, which it lists in a shape.
func orphaned(t *testing.T, shape string) (p *person, l *lister, orphan string) {
	t.Helper()
	l = &lister{}
	p = personIn(t, sandbox.Options{KeyList: l.answer})
	p.faults("vms.post_s3keys=drop-after-commit")
	if code, _, errs := runLine(t, p.env, "keys", "create"); code != 10 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	p.faults()
	orphan = p.keys()[0].AccessKey
	l.shape.Store(&shape)
	return p, l, orphan
}

// A key list that nobody understands is never an empty one, and proves nothing.
// Keys are issued and handed out without it.
func TestKeyListsThatNobodyUnderstands(t *testing.T) {
	for _, shape := range []string{
		`null`, `{}`, `true`, `0`, `""`, `"KEY"`, `["KEY"]`, `[null]`, `[[]]`, `[{}]`, `[{"id":1}]`, `[{"key":"KEY"}]`, `[{"access_key":5}]`,
		`[{"access_key":"KEY","enabled":"perhaps"}]`, `[{"access_key":"KEY"},"B"]`, `{"results":null}`, `{"results":{}}`, `{"results":[],"count":2}`,
		`{"results":[],"next":5}`, `{"results":[{"id":1}],"count":1}`, `{"detail":"ok"}`, `{"data":[]}`, `{"keys":[{"access_key":"KEY"}]}`,
		`{"access_keys":null}`, `{"access_keys":["KEY"]}`, `{"KEY":true}`, `{"KEY":{}}`, `{"access_key":"KEY"}`, `{"async_task":{"id":1}}`,
		`[] []`, `[{"access_key":"KEY"}`, `<html></html>`, ``,
	} {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			p, l, orphan := orphaned(t, shape)
			for _, args := range [][]string{
				{"keys", "list"}, {"keys", "show", orphan}, {"keys", "reap", "--yes"}, {"keys", "reap", "--dry-run"}, {"keys", "reap", "--yes", "--access-key", orphan},
			} {
				if code, out, errs := runLine(t, p.env, args...); code != 10 || out != "" {
					t.Errorf("%v: exit code %d, %q, %s", args, code, out, errs)
				}
			}
			p.do("credential-process")
			p.do("keys", "create", "--if-missing")
			// Both places are taken: the third is refused, and nothing is deleted for it.
			for _, args := range [][]string{{"keys", "create"}, {"keys", "rotate"}} {
				if code, out, errs := runLine(t, p.env, args...); code != 8 || out != "" {
					t.Errorf("%v: exit code %d, %q, %s", args, code, out, errs)
				}
			}
			l.shape.Store(nil)
			keys := p.keys()
			if len(keys) != 2 || keys[0].AccessKey != orphan || keys[0].Stored || keys[1].State != "active" {
				t.Errorf("%+v", keys)
			}
			// Now it is understood, and the lost one is proven by the entry from before.
			p.do("keys", "reap", "--yes")
			if keys := p.keys(); len(keys) != 1 || !keys[0].Stored {
				t.Errorf("after reaping: %+v", keys)
			}
		})
	}
}

// Keys without a time of creation are named as candidates, and deleted by name alone.
func TestKeyListsWithoutTimes(t *testing.T) {
	for _, time := range []string{``, `,"creation_time":null`, `,"creation_time":"2026-01-02T03:04:05"`, `,"created":0`, `,"created_at":"yesterday"`, `,"creation_time":1767323045000`} {
		t.Run(time, func(t *testing.T) {
			t.Parallel()
			p, _, orphan := orphaned(t, fmt.Sprintf(`[{"access_key":"KEY","enabled":true%s}]`, time))
			code, out, errs := runLine(t, p.env, "keys", "reap", "--yes", "-o", "json")
			var list []struct{ AccessKey, Action, Reason string }
			out = strings.ReplaceAll(out, "access_key", "AccessKey")
			if err := json.Unmarshal([]byte(out), &list); err != nil || code != 12 || len(list) != 1 ||
				list[0].AccessKey != orphan || list[0].Action != "kept" || !strings.Contains(list[0].Reason, "does not say when") || !strings.Contains(errs, "--access-key "+orphan) {
				t.Errorf("exit code %d, %s, %s", code, out, errs)
			}
			if keys := p.keys(); len(keys) != 1 || keys[0].AccessKey != orphan {
				t.Errorf("%+v", keys)
			}
			p.do("keys", "reap", "--yes", "--access-key", orphan)
			if code, out, _ := runLine(t, p.env, "keys", "reap", "--yes", "--access-key", orphan); code != 6 || out != "" {
				t.Errorf("again: exit code %d, %s", code, out)
			}
		})
	}
}
