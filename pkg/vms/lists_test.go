package vms_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/vms"
)

func TestKnownShapesOfTheOwnList(t *testing.T) {
	on, off := vms.Key{AccessKey: "AK1", Enabled: true}, vms.Key{AccessKey: "AK2"}
	dated := func(k vms.Key) vms.Key { k.Created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); return k }
	cases := map[string]struct {
		body string
		want []vms.Key
	}{
		"empty list":        {`[]`, []vms.Key{}},
		"empty results":     {`{"count":0,"next":null,"previous":null,"results":[]}`, []vms.Key{}},
		"empty access_keys": {`{"access_keys":[]}`, []vms.Key{}},
		"list":              {`[{"access_key":"AK1","enabled":true},{"access_key":"AK2","enabled":false}]`, []vms.Key{on, off}},
		"results":           {`{"results":[{"access_key":"AK1"}]}`, []vms.Key{on}},
		"access_keys":       {`{"uid":5,"access_keys":[{"access_key":"AK2","status":"disabled"}]}`, []vms.Key{off}},
		"single":            {`{"access_key":"AK1","status":"enabled"}`, []vms.Key{on}},
		"status as boolean": {`[{"access_key":"AK2","status":false}]`, []vms.Key{off}},
		"keyed":             {`{"AAAABBBBCCCCDDDD1111":{"enabled":false},"AAAABBBBCCCCDDDD0000":{"status":"Enabled"}}`, []vms.Key{{AccessKey: "AAAABBBBCCCCDDDD0000", Enabled: true}, {AccessKey: "AAAABBBBCCCCDDDD1111"}}},
		"keyed, old form":   {`{"FXhvIdHZRhKHJdVnOawtHg==":{"enabled":true}}`, []vms.Key{{AccessKey: "FXhvIdHZRhKHJdVnOawtHg==", Enabled: true}}},
		"RFC 3339":          {`[{"access_key":"AK1","creation_time":"2026-01-02T04:04:05+01:00"}]`, []vms.Key{dated(on)}},
		"with a space":      {`[{"access_key":"AK1","created":"2026-01-02 03:04:05Z"}]`, []vms.Key{dated(on)}},
		"epoch":             {`[{"access_key":"AK1","create_time":1767323045}]`, []vms.Key{dated(on)}},
		"no zone":           {`[{"access_key":"AK1","creation_time":"2026-01-02T03:04:05"}]`, []vms.Key{on}},
		"no time":           {`[{"access_key":"AK1","creation_time":null}]`, []vms.Key{on}},
		"small number":      {`[{"access_key":"AK1","creation_time":12}]`, []vms.Key{on}},
		"user and tenant":   {`[{"access_key":"AK1","user":{"name":"u"},"tenant_name":"t","extra":[1]}]`, []vms.Key{{AccessKey: "AK1", Enabled: true, User: "u", Tenant: "t"}}},
	}
	for name, c := range cases {
		got, err := newFake(t, answers(200, c.body)).client(t).OwnKeys(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestUnknownShapesAreNeverAnEmptyList(t *testing.T) {
	cases := []string{
		``, `null`, `{}`, `true`, `0`, `""`, `"AK1"`, `["AK1"]`, `[null]`, `[[]]`, `[{}]`, `[{"id":1}]`, `[{"access_key":""}]`, `[{"access_key":null}]`, `[{"access_key":5}]`,
		`[{"access_key":"a b"}]`, `[{"access_key":"AK1","enabled":"perhaps"}]`, `[{"access_key":"AK1","enabled":1}]`, `[{"access_key":"AK1"},"AK2"]`,
		`{"results":null}`, `{"results":{}}`, `{"results":"AK1"}`, `{"results":[],"next":5}`, `{"results":[],"count":2}`, `{"count":2,"results":[{"access_key":"AK1"}]}`,
		`{"detail":"ok"}`, `{"data":[]}`, `{"keys":[]}`, `{"access_keys":null}`, `{"access_keys":{}}`, `{"access_keys":["AK1"]}`, `{"async_task":{"id":1}}`,
		`{"alice":{"enabled":true}}`, `{"AAAABBBBCCCCDDDD1111":true}`, `{"AAAABBBBCCCCDDDD1111":{}}`, `{"AAAABBBBCCCCDDDD1111":{"enabled":true,"access_key":"X"}}`,
		`{"AAAABBBBCCCCDDDD1111":{"enabled":true},"count":1}`,
		`{"access_key":"AK1"}`, `{"access_key":"AK1","enabled":null}`, `{"access_key":"AK1","secret_key":"CANARY"}`, `{"access_key":"AK1","user":"alice"}`, `{"access_key":"AK1","enabled":"perhaps"}`,
		`{"AAAABBBBCCCCDDDD1111":{"enabled":null}}`, `[] []`, `[{"access_key":"AK1"}`, `<html></html>`, `{"access_key":{"id":"AK1"}}`,
	}
	for _, body := range cases {
		got, err := newFake(t, answers(200, body)).client(t).OwnKeys(t.Context())
		if !errors.Is(err, vms.ErrUnknownShape) || !failure.Is(err, failure.Network) || got != nil {
			t.Errorf("%s: %v %v", body, got, err)
		}
	}
	_, err := newFake(t, answers(200, `{"odd":"CANARY","\u001b":1}`)).client(t).OwnKeys(t.Context())
	mustContain(t, "outline", err.Error(), `members \x1b, odd`)
	if strings.Contains(err.Error(), "CANARY") {
		t.Errorf("shows a value: %v", err)
	}
}

func FuzzParseKeyList(f *testing.F) {
	for _, seed := range []string{`[]`, `{}`, `[{"access_key":"AK1","enabled":true,"created":1e9}]`, `{"results":[],"next":null,"count":0}`, `{"AAAABBBBCCCCDDDD1111":{"status":"enabled"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := vms.ParseKeyList(body)
		if err != nil {
			return
		}
		for _, k := range keys {
			if k.AccessKey == "" || strings.ContainsAny(k.AccessKey, " \n\x00") || !k.Created.IsZero() && k.Created.Location() != time.UTC {
				t.Errorf("%+v", k)
			}
		}
		// Nothing in the text names a key, and yet it was understood: then it must say that it is empty.
		if len(keys) == 0 && !strings.Contains(string(body), "[") {
			t.Errorf("%q is taken for an empty list", body)
		}
	})
}

const entry = `{"access_key":"AK%d","enabled":true}`

func collect(ctx context.Context, c *vms.Client) (ids []string, err error) {
	for k, e := range c.LocalKeys(ctx, vms.KeyFilter{}) {
		if e != nil {
			return ids, e
		}
		ids = append(ids, k.AccessKey)
	}
	return ids, nil
}

func TestPages(t *testing.T) {
	one := []string{"AK1"}
	cases := map[string]struct {
		pages map[string]string // by query
		want  []string
		part  string // of the error
	}{
		"bare":              {map[string]string{"": `[` + fmt.Sprintf(entry, 1) + `]`}, one, ""},
		"bare empty":        {map[string]string{"": ` [] `}, nil, ""},
		"envelope":          {map[string]string{"": `{"count":1,"next":null,"previous":null,"results":[` + fmt.Sprintf(entry, 1) + `]}`}, one, ""},
		"next, absolute":    {map[string]string{"": `{"next":"SELF/api/locals3keys/?page=2","results":[` + fmt.Sprintf(entry, 1) + `]}`, "page=2": `{"results":[` + fmt.Sprintf(entry, 2) + `],"next":null}`}, []string{"AK1", "AK2"}, ""},
		"next, relative":    {map[string]string{"": `{"results":[` + fmt.Sprintf(entry, 1) + `],"next":"?page=2"}`, "page=2": `[` + fmt.Sprintf(entry, 2) + `]`}, []string{"AK1", "AK2"}, ""},
		"empty next":        {map[string]string{"": `{"results":[],"next":""}`}, nil, ""},
		"another host":      {map[string]string{"": `{"results":[` + fmt.Sprintf(entry, 1) + `],"next":"https://evil.example/api/locals3keys/?page=2&t=CANARY"}`}, one, "no credentials were sent"},
		"another port":      {map[string]string{"": `{"results":[],"next":"https://127.0.0.1:1/api/locals3keys/?page=2"}`}, nil, "no credentials were sent"},
		"plain http":        {map[string]string{"": `{"results":[],"next":"http://SELFHOST/api/locals3keys/?page=2"}`}, nil, "no credentials were sent"},
		"user information":  {map[string]string{"": `{"results":[],"next":"https://a:b@SELFHOST/api/locals3keys/?page=2"}`}, nil, "no credentials were sent"},
		"outside":           {map[string]string{"": `{"results":[],"next":"/other/?page=2"}`}, nil, "outside /api/"},
		"outside by dots":   {map[string]string{"": `{"results":[],"next":"/api/%2e%2e/other/?page=2"}`}, nil, "outside /api/"},
		"circle of one":     {map[string]string{"": `{"results":[],"next":"/api/locals3keys/"}`}, nil, "circle"},
		"circle of two":     {map[string]string{"": `{"results":[],"next":"?page=2"}`, "page=2": `{"results":[],"next":"?page=2"}`}, nil, "circle"},
		"unreadable next":   {map[string]string{"": `{"results":[],"next":"https://%zz"}`}, nil, "unreadable"},
		"next is a number":  {map[string]string{"": `{"results":[],"next":2}`}, nil, "not a list that is understood"},
		"object":            {map[string]string{"": `{"detail":"CANARY"}`}, nil, "not a list that is understood"},
		"null":              {map[string]string{"": `null`}, nil, "not a list that is understood"},
		"null results":      {map[string]string{"": `{"results":null}`}, nil, "not a list that is understood"},
		"html":              {map[string]string{"": `<html>CANARY`}, nil, "not a list that is understood"},
		"entry of a string": {map[string]string{"": `["CANARY"]`}, nil, "not a list that is understood"},
		"entry without key": {map[string]string{"": `[{"id":1}]`}, nil, "not a list that is understood"},
		"truncated":         {map[string]string{"": `[` + fmt.Sprintf(entry, 1) + `,{"acc`}, one, "was lost before"},
		"truncated after":   {map[string]string{"": `{"results":[` + fmt.Sprintf(entry, 1) + `]`}, one, "was lost before"},
		"empty body":        {map[string]string{"": ``}, nil, "was lost before"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				body, ok := c.pages[r.URL.RawQuery]
				if !ok {
					t.Errorf("asked for %s", r.RequestURI)
				}
				reply(w, 200, strings.NewReplacer("SELFHOST", r.Host, "SELF", "https://"+r.Host).Replace(body))
			})
			got, err := collect(t.Context(), f.client(t))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if c.part == "" && err != nil || c.part != "" && !failure.Is(err, failure.Network) {
				t.Fatalf("%v", err)
			}
			if c.part != "" {
				mustContain(t, "message", err.Error(), c.part)
				if strings.Contains(err.Error(), "CANARY") {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

func TestOwnKeysFollowsPages(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, `{"results":[],"next":"https://evil.example/api/"}`)
	})
	if _, err := f.client(t).OwnKeys(t.Context()); !failure.Is(err, failure.Network) || len(f.requests()) != 1 {
		t.Errorf("%v", err)
	}
}

func TestStoppingEarlyEndsTheRequest(t *testing.T) {
	ended := make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "["+fmt.Sprintf(entry, 1))
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, ","+fmt.Sprintf(entry, 2)); err != nil {
				break
			}
		}
		close(ended)
	})
	for k, err := range f.client(t).LocalKeys(t.Context(), vms.KeyFilter{}) {
		if err != nil || k.AccessKey != "AK1" {
			t.Errorf("%v %v", k, err)
		}
		break
	}
	<-ended
}

// flood sends head and then the chunk up to total bytes, as long as anybody reads.
func flood(head, chunk string, total int64) http.HandlerFunc {
	chunk = strings.Repeat(chunk, 1+(64<<10)/len(chunk))
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, head)
		for sent := int64(0); sent < total; sent += int64(len(chunk)) {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}
}

// peak runs f and returns by how much the memory obtained from the system grew.
func peak(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.HeapSys - min(before.HeapSys, after.HeapSys)
}

func TestHugeAnswersStayInSmallMemory(t *testing.T) {
	const huge = 2 << 30
	calls := map[string]func(*vms.Client) error{
		"own list": func(c *vms.Client) error { _, err := c.OwnKeys(t.Context()); return err },
		"issue":    func(c *vms.Client) error { _, _, err := c.CreateOwnKey(t.Context()); return err },
		"log in":   func(c *vms.Client) error { _, err := c.Refresh(t.Context()); return err },
		"one long entry": func(c *vms.Client) error {
			_, err := collect(t.Context(), c)
			return err
		},
	}
	for name, call := range calls {
		f := newFake(t, flood(`[{"access_key":"`, "A", huge))
		c := f.client(t, func(c *vms.Config) {
			if name == "log in" {
				c.Login = &memory{login: login("a", "r")}
			}
		})
		var err error
		grown := peak(func() { err = call(c) })
		if !failure.Is(err, failure.Network) || !strings.Contains(err.Error(), "larger than") || grown > 150<<20 {
			t.Errorf("%s: %d MiB, %v", name, grown>>20, err)
		}
	}
	refusing := newFake(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(400); flood("", "A", huge)(w, r) })
	if _, err := refusing.client(t).OwnKeys(t.Context()); !failure.Is(err, failure.Internal) {
		t.Errorf("a long refusal: %v", err)
	}

	// A long list is not refused but read as it comes.
	long := newFake(t, flood("["+fmt.Sprintf(entry, 0), ","+fmt.Sprintf(entry, 1), 8<<20))
	n := 0
	grown := peak(func() {
		for _, err := range long.client(t).LocalKeys(t.Context(), vms.KeyFilter{}) {
			if err != nil {
				if !strings.Contains(err.Error(), "was lost before") {
					t.Errorf("%v", err)
				}
				break
			}
			n++
		}
	})
	if n < 200_000 || grown > 64<<20 {
		t.Errorf("%d entries in %d MiB", n, grown>>20)
	}
}

func TestADeadlineEndsAList(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "["+fmt.Sprintf(entry, 1))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	_, err := collect(t.Context(), f.client(t, func(c *vms.Config) { c.Timeout = 200 * time.Millisecond }))
	if !failure.Is(err, failure.Network) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("%v", err)
	}
}

func TestAListThatOlderServersLack(t *testing.T) {
	f := newFake(t, answers(404, `{"detail":"Not found."}`))
	_, err := collect(t.Context(), f.client(t))
	if !failure.Is(err, failure.Network) {
		t.Fatalf("%v", err)
	}
	mustContain(t, "message", err.Error(), "no such list; VAST 5.3 and later have it")
	if _, err := f.client(t).Tenant(t.Context(), "t"); !failure.Is(err, failure.Network) {
		t.Errorf("a list that all have: %v", err)
	}
	f = newFake(t, answers(200, `[{"id":1,"name":"other"}]`))
	if _, err := f.client(t).Tenant(t.Context(), "t"); !failure.Is(err, failure.NotFound) {
		t.Errorf("another tenant: %v", err)
	}
}

// Whoever pages through a list by hand takes longer than any deadline.
func TestASlowReaderOfAListIsWaitedFor(t *testing.T) {
	const wait = 100 * time.Millisecond
	body := "[" + fmt.Sprintf(entry, 1) + strings.Repeat(","+fmt.Sprintf(entry, 2), 1<<14) + "]"
	f := newFake(t, answers(200, body))
	n := 0
	for _, err := range f.client(t, func(c *vms.Config) { c.Timeout = wait }).LocalKeys(t.Context(), vms.KeyFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			time.Sleep(3 * wait)
		}
	}
	if n != 1<<14+1 {
		t.Errorf("%d entries", n)
	}
}
