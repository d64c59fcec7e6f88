package jobsecrets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/secret"
)

// The document is the one that VDK's Control Service reads and writes.
func TestNewDocumentIsVDKs(t *testing.T) {
	svc, store := service(t, "")
	w := set(t, svc, textOf(t, "db-password", `p"w\<&>`+"\n"), jsonOf("port", "5432"))
	if diff := cmp.Diff(jobsecrets.Written{Version: 1, Changed: []string{"db-password", "port"}}, w); diff != "" {
		t.Error(diff)
	}
	var doc map[string]string
	if err := json.Unmarshal([]byte(store.text(path)), &doc); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"jobName": "team/job", "secretsJson": `{"db-password":"p\"w\\<&>\n","port":5432}`}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Error(diff)
	}
}

// What a write does not change stays as it was, byte for byte.
func TestWritesKeepWhatTheyDoNotChange(t *testing.T) {
	const odd = `{"n":9007199254740993,"big":1E400,"f":1.10,"null":null,"half":"\ud800","nul":"\u0000","esc":"\/\u0061","dup":1,"dup":2,"o":{"b":1,"a":[ 2 ]},"uni":"é€"`
	for _, c := range []struct{ name, before, after string }{
		{"vdk", vdk(odd + `}`), vdk(odd + `,"new":"v"}`)},
		{"job name and other members", `{"x":[1.0],"jobName":"Other/Name","secretsJson":"{}","y":1e3}`, `{"x":[1.0],"jobName":"Other/Name","secretsJson":"{\"new\":\"v\"}","y":1e3}`},
		{"no job name", `{"secretsJson":"{}"}`, `{"secretsJson":"{\"new\":\"v\"}"}`},
		{"flat", odd + `}`, odd + `,"new":"v"}`},
		{"flat with a secretsJson that is no text", `{"secretsJson":{"a":1}}`, `{"secretsJson":{"a":1},"new":"v"}`},
		{"white space around", " { \"a\" : 1 , \"b\" : [ ] } ", `{"a":1,"b":[ ],"new":"v"}`},
		{"empty text", `{"jobName":"j","secretsJson":" "}`, `{"jobName":"j","secretsJson":"{\"new\":\"v\"}"}`},
		{"null text", `{"jobName":"j","secretsJson":"null"}`, `{"jobName":"j","secretsJson":"{\"new\":\"v\"}"}`},
		{"empty document", `{}`, `{"jobName":"team/job","secretsJson":"{\"new\":\"v\"}"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc, store := service(t, c.before)
			set(t, svc, textOf(t, "new", "v"))
			var before, after string
			if strings.Contains(c.after, "secretsJson\":\"") { // compare what the text says, not how Go escapes it
				before, after = inner(t, c.after), inner(t, store.text(path))
			} else {
				before, after = c.after, store.text(path)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// inner is a vdk document with its text unfolded.
func inner(t *testing.T, doc string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(doc), &m); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(m["secretsJson"], &text); err != nil {
		t.Fatal(err)
	}
	delete(m, "secretsJson")
	rest, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text + "\n" + string(rest)
}

func TestLayouts(t *testing.T) {
	ctx := t.Context()
	svc, store := service(t, "", flat)
	set(t, svc, textOf(t, "a", "1"))
	if got := store.text(path); got != `{"a":"1"}` {
		t.Errorf("new flat document %s", got)
	}
	// The layout found is the layout written, whatever the setting says.
	svc, store = service(t, `{"a":"1"}`)
	set(t, svc, textOf(t, "b", "2"))
	if got := store.text(path); got != `{"a":"1","b":"2"}` {
		t.Errorf("flat document %s", got)
	}
	// Unless it was asked for by name.
	svc, _ = service(t, `{"a":"1"}`, fixed)
	_, err := svc.Set(ctx, job, []jobsecrets.Change{textOf(t, "b", "2")}, false)
	wantKind(t, err, failure.Conflict)
	_, err = svc.Get(ctx, job, "a")
	wantKind(t, err, failure.Conflict)
	svc, _ = service(t, vdk(`{}`), flat, fixed)
	_, err = svc.List(ctx, job)
	wantKind(t, err, failure.Conflict)
	// An empty or deleted document has no layout yet.
	for _, data := range []string{`{}`, ""} {
		svc, store = service(t, "", flat, fixed)
		store.put(path, data)
		set(t, svc, textOf(t, "a", "1"))
		if got := store.text(path); got != `{"a":"1"}` {
			t.Errorf("after %q: %s", data, got)
		}
	}
	_, err = jobsecrets.New(jobsecrets.Deps{Layout: "x"})
	wantKind(t, err, failure.Config)
}

func TestFlatRefusesWhatVaultWouldChange(t *testing.T) {
	svc, store := service(t, "", flat)
	for _, v := range []string{"9007199254740993", "[1,{\"a\":0.1000000000000000055}]", "1e400", "-1e999999999999999999999", `{"a":["\ud800"]}`} {
		_, err := svc.Set(t.Context(), job, []jobsecrets.Change{jsonOf("n", v)}, false)
		wantKind(t, err, failure.Usage)
	}
	_, err := svc.Set(t.Context(), job, []jobsecrets.Change{textOf(t, "secretsJson", "{}")}, false)
	wantKind(t, err, failure.Usage)
	if store.writes != 0 {
		t.Errorf("%d writes", store.writes)
	}
	set(t, svc, jsonOf("n", "[1.50,-10,1e3,1E+2,100,0,0.0,1e-7,9007199254740992,true,null]"), textOf(t, "t", "9007199254740993"))
}

func TestGetAndList(t *testing.T) {
	ctx := t.Context()
	svc, _ := service(t, vdk(`{"z":"last","a":{"b":[1, 2]},"odd name":"x","dup":1,"dup":"two"}`))
	for name, want := range map[string]string{"z": "last", "a": `{"b":[1,2]}`, "odd name": "x", "dup": "two"} {
		s, err := svc.Get(ctx, job, name)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := jobsecrets.Display(s.Value)
		if err != nil || shown.Reveal() != want || s.Version != 1 {
			t.Errorf("%s: %q, version %d, %v", name, shown.Reveal(), s.Version, err)
		}
	}
	_, err := svc.Get(ctx, job, "none")
	wantKind(t, err, failure.NotFound)
	_, err = svc.Get(ctx, job, "no ne")
	wantKind(t, err, failure.Usage)
	l, err := svc.List(ctx, job)
	if diff := cmp.Diff([]string{"z", "a", "odd name", "dup"}, l.Names()); diff != "" || err != nil || !l.Exists || l.Version != 1 {
		t.Error(diff, err, l.Exists)
	}
	svc, _ = service(t, "")
	l, err = svc.List(ctx, job)
	if err != nil || l.Exists || len(l.Names()) != 0 || l.Names() == nil {
		t.Errorf("%+v %v", l, err)
	}
}

func TestBrokenDocuments(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	for _, data := range []string{vdk(`[1]`), vdk(`{"a":`), vdk(`x`), vdk(deep), `[]`, `"x"`, `{"a":1}x`, deep} {
		svc, store := service(t, data)
		_, err := svc.List(t.Context(), job)
		wantKind(t, err, failure.Network)
		_, err = svc.Set(t.Context(), job, []jobsecrets.Change{textOf(t, "a", "b")}, false)
		wantKind(t, err, failure.Network)
		if store.writes != 0 {
			t.Error("a document that is not understood was overwritten")
		}
	}
}

func TestDelete(t *testing.T) {
	ctx := t.Context()
	del := func(before string, o jobsecrets.DeleteOptions) (jobsecrets.Written, *shelf, error) {
		svc, store := service(t, before)
		w, err := svc.Delete(ctx, job, o)
		return w, store, err
	}
	w, store, err := del(vdk(`{"a":1,"b":2,"c":3}`), jobsecrets.DeleteOptions{Names: []string{"c", "a"}})
	if diff := cmp.Diff(jobsecrets.Written{Version: 2, Changed: []string{"a", "c"}}, w); diff != "" || err != nil || inner(t, store.text(path)) != inner(t, vdk(`{"b":2}`)) {
		t.Error(diff, err, store.text(path))
	}
	_, store, err = del(vdk(`{"a":1}`), jobsecrets.DeleteOptions{Names: []string{"a", "x"}})
	wantKind(t, err, failure.NotFound)
	if store.writes != 0 {
		t.Error("one name was missing, and the other was deleted")
	}
	w, _, err = del(vdk(`{"a":1}`), jobsecrets.DeleteOptions{Names: []string{"a", "x"}, IgnoreMissing: true})
	if diff := cmp.Diff([]string{"a"}, w.Changed); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w, store, err = del(vdk(`{"a":1}`), jobsecrets.DeleteOptions{Names: []string{"x"}, IgnoreMissing: true})
	if w.Version != 1 || len(w.Changed) != 0 || w.Changed == nil || err != nil || store.writes != 0 {
		t.Error(w, err)
	}
	// All: the document stays, with no secret in it, as VDK leaves it.
	w, store, err = del(`{"jobName":"team/job","x":1,"secretsJson":"{\"a\":1,\"b\":2}"}`, jobsecrets.DeleteOptions{All: true})
	if diff := cmp.Diff([]string{"a", "b"}, w.Changed); diff != "" || err != nil || store.text(path) != `{"jobName":"team/job","x":1,"secretsJson":"{}"}` {
		t.Error(diff, err, store.text(path))
	}
	_, store, err = del(`{"a":1}`, jobsecrets.DeleteOptions{All: true})
	if err != nil || store.text(path) != `{}` {
		t.Error(err, store.text(path))
	}
	w, store, err = del("", jobsecrets.DeleteOptions{All: true})
	if err != nil || store.writes != 0 || len(w.Changed) != 0 {
		t.Error("deleting all of nothing wrote", err)
	}
	_, store, err = del(vdk(`{"a":1}`), jobsecrets.DeleteOptions{All: true, DryRun: true})
	if err != nil || store.writes != 0 {
		t.Error("dry run wrote", err)
	}
	_, _, err = del("", jobsecrets.DeleteOptions{})
	wantKind(t, err, failure.Usage)
	_, _, err = del("", jobsecrets.DeleteOptions{All: true, Names: []string{"a"}})
	wantKind(t, err, failure.Usage)
	_, _, err = del("", jobsecrets.DeleteOptions{Names: []string{"a b"}})
	wantKind(t, err, failure.Usage)
}

func TestSetRefusals(t *testing.T) {
	svc, store := service(t, "")
	for name, changes := range map[string][]jobsecrets.Change{
		"nothing":  nil,
		"twice":    {textOf(t, "a", "1"), textOf(t, "a", "2")},
		"empty":    {textOf(t, "", "1")},
		"space":    {textOf(t, "a b", "1")},
		"newline":  {textOf(t, "a\n", "1")},
		"nbsp":     {textOf(t, "a\u00a0b", "1")},
		"not utf8": {textOf(t, "a\xff", "1")},
		"python":   {textOf(t, "a\x1cb", "1")},
	} {
		_, err := svc.Set(t.Context(), job, changes, false)
		if !failure.Is(err, failure.Usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if store.writes != 0 {
		t.Errorf("%d writes", store.writes)
	}
}

func TestSameValueIsNotWrittenAgain(t *testing.T) {
	svc, store := service(t, vdk(`{"a":"\u0041b","n":1,"o":{ "x" : 1 }}`))
	w := set(t, svc, textOf(t, "a", "Ab"), jsonOf("o", `{"x":1}`))
	if w.Version != 1 || len(w.Changed) != 0 || store.writes != 0 {
		t.Errorf("%+v", w)
	}
	w = set(t, svc, textOf(t, "a", "Ab"), textOf(t, "n", "1")) // text, no number
	if diff := cmp.Diff([]string{"n"}, w.Changed); diff != "" || w.Version != 2 {
		t.Error(diff, w.Version)
	}
	svc, store = service(t, "")
	if _, err := svc.Set(t.Context(), job, []jobsecrets.Change{textOf(t, "a", "1")}, true); err != nil || store.writes != 0 {
		t.Errorf("dry run: %v, %d writes", err, store.writes)
	}
}

func TestOthersChangesAreMerged(t *testing.T) {
	svc, store := service(t, vdk(`{"a":1,"b":2}`))
	others := 0
	store.before = func() {
		if others++; others <= 9 {
			store.put(path, vdk(fmt.Sprintf(`{"a":1,"b":2,"other":%d}`, others)))
		}
	}
	w := set(t, svc, jsonOf("a", "10"))
	if got, want := inner(t, store.text(path)), inner(t, vdk(`{"a":10,"b":2,"other":9}`)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{"a"}, w.Changed); diff != "" || w.Version != 11 {
		t.Error(diff, w.Version)
	}
}

func TestTenTriesAndNoMore(t *testing.T) {
	var waits []time.Duration
	svc, store := service(t, vdk(`{}`), func(d *jobsecrets.Deps) {
		d.Pause = func(_ context.Context, most time.Duration) error { waits = append(waits, most); return nil }
	})
	n := 0
	store.before = func() { n++; store.put(path, vdk(fmt.Sprintf(`{"other":%d}`, n))) }
	_, err := svc.Set(t.Context(), job, []jobsecrets.Change{jsonOf("a", "1")}, false)
	wantKind(t, err, failure.Conflict)
	if n != 10 || len(waits) != 9 {
		t.Errorf("%d tries, %d waits", n, len(waits))
	}
	// They grow, or twenty writers would meet each other ten times.
	if waits[0] != 20*time.Millisecond || waits[1] != 40*time.Millisecond || waits[8] != time.Second {
		t.Errorf("waits %v", waits)
	}
}

func TestSameNameIsAConflictThatNamesIt(t *testing.T) {
	once := func(store *shelf, data string) func() {
		var o sync.Once
		return func() { o.Do(func() { store.put(path, data) }) }
	}
	for _, c := range []struct {
		name, before, meanwhile string
		do                      func(context.Context, *jobsecrets.Service) error
		conflict                bool
	}{
		{"set and set", `{"a":1}`, `{"a":2}`, setA, true},
		{"set and set the same", `{"a":1}`, `{"a":9,"x":1}`, setA, false},
		{"set and new", `{}`, `{"a":2}`, setA, true},
		{"set and delete", `{"a":1}`, `{}`, setA, true},
		{"delete and set", `{"a":1}`, `{"a":2}`, deleteA, true},
		{"delete and delete", `{"a":1,"b":1}`, `{"b":2}`, deleteA, false},
		{"delete all and new", `{"a":1}`, `{"a":1,"b":1}`, deleteAll, true},
		{"delete all and set", `{"a":1}`, `{"a":2}`, deleteAll, true},
		{"delete all and delete", `{"a":1,"b":1}`, `{"a":1}`, deleteAll, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc, store := service(t, vdk(c.before))
			store.before = once(store, vdk(c.meanwhile))
			err := c.do(t.Context(), svc)
			switch {
			case !c.conflict && err != nil:
				t.Error(err)
			case c.conflict:
				wantKind(t, err, failure.Conflict)
				if name := failure.DetailsOf(err)["name"]; name != "a" && name != "b" {
					t.Errorf("names %v in %v", name, err)
				}
				if got := inner(t, store.text(path)); got != inner(t, vdk(c.meanwhile)) {
					t.Errorf("the other's work was overwritten: %s", got)
				}
			}
		})
	}
}

func setA(ctx context.Context, s *jobsecrets.Service) error {
	_, err := s.Set(ctx, job, []jobsecrets.Change{jsonOf("a", "9")}, false)
	return err
}

func deleteA(ctx context.Context, s *jobsecrets.Service) error {
	_, err := s.Delete(ctx, job, jobsecrets.DeleteOptions{Names: []string{"a"}})
	return err
}

func deleteAll(ctx context.Context, s *jobsecrets.Service) error {
	_, err := s.Delete(ctx, job, jobsecrets.DeleteOptions{All: true})
	return err
}

func TestOtherErrorsEndTheLoop(t *testing.T) {
	svc, store := service(t, vdk(`{}`))
	store.refuse = failure.New(failure.Forbidden, "no")
	wantKind(t, setA(t.Context(), svc), failure.Forbidden)
	if store.writes != 1 {
		t.Errorf("%d writes", store.writes)
	}
	svc, store = service(t, vdk(`{}`))
	ctx, cancel := context.WithCancel(t.Context())
	store.before = func() { cancel(); store.put(path, vdk(`{"x":1}`)) }
	wantKind(t, setA(ctx, svc), failure.Cancelled)
}

func TestDeletedDocumentKeepsItsVersion(t *testing.T) {
	svc, store := service(t, vdk(`{"a":1}`))
	store.put(path, "")
	l, err := svc.List(t.Context(), job)
	if err != nil || l.Exists || l.Version != 2 {
		t.Errorf("%+v %v", l, err)
	}
	if w := set(t, svc, jsonOf("a", "1")); w.Version != 3 {
		t.Errorf("%+v", w)
	}
}

func TestTeam(t *testing.T) {
	svc, store := service(t, vdk(`{"b":1,"a":2}`))
	store.put("team/other", `{"flat":1}`)
	store.put("team/gone", "")
	store.put("team/team-oauth-credentials", `{"teamName":"x"}`)
	store.put("team/deep/", `{"x":1}`)
	got, err := svc.Team(t.Context(), "team")
	want := map[string][]string{"job": {"b", "a"}, "other": {"flat"}, "gone": {}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	_, err = svc.Team(t.Context(), "a/b")
	wantKind(t, err, failure.Usage)
}

// Many at once, each its own secret, and the real pause between tries: none is lost.
func TestConcurrentSets(t *testing.T) {
	svc, store := service(t, "", func(d *jobsecrets.Deps) { d.Pause = nil })
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errs[i] = svc.Set(t.Context(), job, []jobsecrets.Change{jsonOf(fmt.Sprint("n", i), fmt.Sprint(i))}, false)
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	l, err := svc.List(t.Context(), job)
	if err != nil || len(l.Secrets) != 20 || l.Version != 20 {
		t.Errorf("%d secrets, version %d, %v in %s", len(l.Secrets), l.Version, err, store.text(path))
	}
}

func TestSizeLimit(t *testing.T) {
	most := strings.Repeat("x", jobsecrets.MaxSize-len(`{"a":""}`))
	svc, _ := service(t, "")
	if _, err := svc.Set(t.Context(), job, []jobsecrets.Change{textOf(t, "a", most)}, false); err != nil {
		t.Errorf("exactly as much as allowed: %v", err)
	}
	_, err := svc.Set(t.Context(), job, []jobsecrets.Change{textOf(t, "a", most+"x")}, false)
	wantKind(t, err, failure.TooLarge)
	// A job that is too large already can be made smaller.
	svc, _ = service(t, vdk(`{"a":"`+strings.Repeat("x", jobsecrets.MaxSize)+`","b":1}`))
	if _, err := svc.Delete(t.Context(), job, jobsecrets.DeleteOptions{Names: []string{"b"}}); err != nil {
		t.Error(err)
	}
	if _, err := svc.Set(t.Context(), job, []jobsecrets.Change{textOf(t, "a", "small")}, false); err != nil {
		t.Error(err)
	}
}

func ExampleService_Set() {
	store := &shelf{docs: map[string]jobsecrets.Document{}}
	svc, _ := jobsecrets.New(jobsecrets.Deps{Documents: store})
	job, _ := jobsecrets.NewJob("my team", "my-job")
	value, _ := jobsecrets.TextValue(secret.FromString("pw"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w, err := svc.Set(ctx, job, []jobsecrets.Change{{Name: "db-password", Value: value}}, false)
	fmt.Println(w.Version, w.Changed, err)
	// Output: 1 [db-password] <nil>
}
