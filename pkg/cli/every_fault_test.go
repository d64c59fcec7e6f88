package cli

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// person is somebody in a sandbox of her own.
type person struct {
	t       *testing.T
	sandbox *sandbox.Sandbox
	env     []string
	state   string
}

func newPerson(t *testing.T) *person { return personIn(t, sandbox.Options{}) }

func personIn(t *testing.T, o sandbox.Options) *person {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "sandbox")
	s, err := sandbox.Start(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := &person{t: t, sandbox: s}
	for _, v := range s.Env(nil) {
		p.env = append(p.env, v.Name+"="+v.Value)
		if v.Name == "VALETKEY_STATE_DIR" {
			p.state = v.Value
		}
	}
	return p
}

// do runs a command that must succeed.
func (p *person) do(args ...string) string {
	p.t.Helper()
	code, out, errs := runLine(p.t, p.env, args...)
	if code != 0 {
		p.t.Fatalf("%v: exit code %d: %s", args, code, errs)
	}
	return strings.TrimSpace(out)
}

func (p *person) faults(specs ...string) {
	p.t.Helper()
	if err := p.sandbox.SetFaults(specs...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) clock(offset string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.sandbox.Dir(), "clock"), []byte(offset), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

type listed struct {
	AccessKey string `json:"access_key"`
	Stored    bool   `json:"stored"`
	State     string `json:"state"`
}

func (p *person) keys() (keys []listed) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.do("keys", "list", "-o", "json")), &keys); err != nil {
		p.t.Fatal(err)
	}
	return keys
}

// open are the entries of the journal.
func (p *person) open() []string {
	list, err := filepath.Glob(filepath.Join(p.state, "machines", "*", "journal", "*.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func (p *person) issue() string {
	return strings.Trim(p.do("keys", "create", "-o", "json", "--jq", ".access_key"), `"`)
}

// Every verb over keys, with every fault of every call it makes. What is promised
// whatever happens: an exit code that is documented for it, nothing on standard
// output when it failed, an end within its deadline, no key at VMS that is
// neither stored nor in the journal, nobody without the key that worked before,
// and a reaping that puts things in order once the servers are well again.
func TestEveryFaultOfEveryVerb(t *testing.T) {
	one := func(p *person) []string { return []string{p.issue()} }
	two := func(p *person) []string {
		id := p.issue()
		p.do("keys", "rotate")
		return []string{id}
	}
	verbs := map[string]struct {
		before func(*person) []string // what the arguments end with
		args   []string
	}{
		"first create":       {nil, []string{"keys", "create"}},
		"second create":      {func(p *person) []string { p.issue(); return nil }, []string{"keys", "create"}},
		"create if missing":  {nil, []string{"keys", "create", "--if-missing"}},
		"credential-process": {nil, []string{"credential-process"}},
		"list":               {func(p *person) []string { p.issue(); return nil }, []string{"keys", "list"}},
		"show":               {one, []string{"keys", "show"}},
		"delete":             {one, []string{"keys", "delete", "--yes"}},
		"first rotate":       {nil, []string{"keys", "rotate"}},
		"rotate":             {func(p *person) []string { p.issue(); return nil }, []string{"keys", "rotate"}},
		"rotate now":         {func(p *person) []string { p.issue(); return nil }, []string{"keys", "rotate", "--now", "--yes"}},
		"rotate replace":     {two, []string{"keys", "rotate", "--yes", "--replace"}},
		"undo":               {func(p *person) []string { two(p); return nil }, []string{"keys", "rotate", "--undo"}},
		"reap a retired key": {func(p *person) []string { two(p); p.clock("+25h"); return nil }, []string{"keys", "reap", "--yes"}},
		"reap an orphan": {func(p *person) []string {
			p.faults("vms.post_s3keys=drop-after-commit")
			if code, _, errs := runLine(p.t, p.env, "keys", "create"); code != 10 {
				p.t.Fatalf("exit code %d: %s", code, errs)
			}
			p.faults()
			p.clock("+1h")
			return nil
		}, []string{"keys", "reap", "--yes"}},
	}
	routes := []string{"vms.post_token", "vms.get_s3keys", "vms.post_s3keys", "vms.delete_s3keys", "s3.get_object"}
	kinds := sandbox.ListFaults()[0].Kinds
	all := os.Getenv("VALETKEY_TEST_FAULTS") == "all"
	for i, name := range slices.Sorted(maps.Keys(verbs)) {
		verb := verbs[name]
		if verb.args[0] == "keys" {
			verb.args = append([]string{"keys", "-o", "json"}, verb.args[1:]...)
		}
		for j, route := range routes {
			for k, kind := range kinds {
				// Each fault happens once, or every time. Without all of them each
				// kind still comes to each route, and to each verb.
				for n, times := range []string{"", "*1"} {
					if !all && (k != (i+3*j)%len(kinds) || n != (i+j)%2) {
						continue
					}
					fault := route + "=" + kind + times
					t.Run(strings.ReplaceAll(name, " ", "_")+"/"+fault, func(t *testing.T) {
						t.Parallel()
						p := newPerson(t)
						args := verb.args
						if verb.before != nil {
							args = append(slices.Clone(args), verb.before(p)...)
						}
						p.suffers(name, fault, append(args, "--timeout", "2s"))
					})
				}
			}
		}
	}
}

func (p *person) suffers(name, fault string, args []string) {
	t := p.t
	t.Helper()
	before := p.keys()
	p.faults(fault)
	code, out, errs := runLine(t, p.env, args...)
	p.faults()
	t.Logf("exit code %d: %s", code, errs)
	switch code {
	case 0, 10:
	case 12:
		if !strings.HasPrefix(name, "reap") {
			t.Errorf("exit code %d: %s", code, errs)
		}
	default:
		t.Errorf("exit code %d: %s", code, errs)
	}
	if code != 0 && code != 12 && out != "" {
		t.Errorf("exit code %d, and an answer: %s", code, out)
	}
	if code == 10 && strings.Contains(errs, "\\n") { // a failure is one line
		t.Error(errs)
	}
	for _, k := range p.keys() {
		foreign := slices.ContainsFunc(before, func(b listed) bool { return b.AccessKey == k.AccessKey && !b.Stored })
		if !k.Stored && !foreign && len(p.open()) == 0 {
			t.Errorf("%s is at VMS, in no store and in no journal", k.AccessKey)
		}
	}
	if name != "delete" && slices.ContainsFunc(before, func(k listed) bool { return k.State == "active" }) &&
		!slices.ContainsFunc(p.keys(), func(k listed) bool { return k.State == "active" }) {
		t.Errorf("no key is left to hand out")
	}
	p.clock("+60h")
	reap := []string{"keys", "reap", "--yes"}
	if code, _, errs = runLine(t, p.env, reap...); code == 12 {
		// A slow machine, or a list that was not had, leaves it to a person.
		for _, k := range p.keys() {
			if !k.Stored {
				reap = append(reap, "--access-key", k.AccessKey)
			}
		}
		code, _, errs = runLine(t, p.env, reap...)
	}
	if code != 0 {
		t.Errorf("%v: exit code %d: %s", reap, code, errs)
	}
	for _, k := range p.keys() {
		if !k.Stored {
			t.Errorf("%s is still at VMS and stored nowhere", k.AccessKey)
		}
	}
	if open := p.open(); len(open) > 0 {
		t.Errorf("still open: %v", open)
	}
}
