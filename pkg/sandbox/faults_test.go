package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox"
)

// post asks VMS for a key of the user; status 0 is a lost connection.
func post(t *testing.T, s *sandbox.Sandbox, user string) (status int, body string, header http.Header) {
	t.Helper()
	return do(t, s, http.MethodPost, user, "/api/s3keys/")
}

func do(t *testing.T, s *sandbox.Sandbox, method, user, path string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.VMS()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, s.Password(user).Reveal())
	resp, err := client(t, s).Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, string(data), resp.Header
	}
	return resp.StatusCode, string(data), resp.Header
}

// keysOf counts the keys VMS has for the user.
func keysOf(t *testing.T, s *sandbox.Sandbox, user string) int {
	t.Helper()
	status, body, _ := do(t, s, http.MethodGet, user, "/api/s3keys/")
	var list struct{ Results []any }
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("list: %d %s", status, body)
	}
	return len(list.Results)
}

func TestFaults(t *testing.T) {
	const made = 1 // one key by the healthy request that follows each fault
	cases := []struct {
		kind   string
		status int
		body   string // what the answer holds
		keys   int
	}{
		{"500", 500, `{"detail":`, made},
		{"503", 503, `{"detail":`, made},
		{"html500", 500, "<html>", made},
		{"drop", 0, "", made},
		{"drop-after-commit", 0, "", made + 1},
		{"slow", 201, `"access_key"`, made + 1},
		{"truncate", 0, `{"access_key":"`, made + 1},
	}
	for _, c := range cases {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			s := start(t, sandbox.Options{Faults: []string{"vms.post_s3keys=" + c.kind + "*1"}})
			status, body, header := post(t, s, "alice")
			if status != c.status || !strings.Contains(body, c.body) {
				t.Errorf("%d %q", status, body)
			}
			if c.kind == "html500" && !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
				t.Errorf("content type %q", header.Get("Content-Type"))
			}
			if c.kind == "truncate" && strings.HasSuffix(body, "}") {
				t.Errorf("the whole answer came: %q", body)
			}
			if status, body, _ := post(t, s, "alice"); status != http.StatusCreated {
				t.Errorf("not healthy after one fault: %d %s", status, body)
			}
			if n := keysOf(t, s, "alice"); n != c.keys {
				t.Errorf("%d keys, want %d", n, c.keys)
			}
			first := requests(t, s)[0]
			if first.Status != c.status {
				t.Errorf("logged as %d", first.Status)
			}
		})
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	s := start(t, sandbox.Options{Faults: []string{"vms.get_s3keys=hang"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.VMS()+"/api/s3keys/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(t, s).Do(req)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("answered: %v %v", resp, err)
	}
	if status, _, _ := post(t, s, "alice"); status != http.StatusCreated {
		t.Errorf("another route hangs too: %d", status)
	}
}

func TestCloseEndsAHang(t *testing.T) {
	s, err := sandbox.Start(t.Context(), sandbox.Options{Faults: []string{"vms.get_s3keys=hang"}})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 1)
	go func() {
		status, _, _ := do(t, s, http.MethodGet, "alice", "/api/s3keys/")
		got <- status
	}()
	time.Sleep(20 * time.Millisecond) // for the hang to have begun, though nothing depends on it
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if status := <-got; status != 0 {
		t.Errorf("answered %d", status)
	}
}

func TestFaultsComeInOrderAndEnd(t *testing.T) {
	s := start(t, sandbox.Options{Faults: []string{"vms.post_s3keys=500*2", "vms.post_s3keys=503"}})
	var got []int
	for range 4 {
		status, _, _ := post(t, s, "alice")
		got = append(got, status)
	}
	if !slices.Equal(got, []int{500, 500, 503, 503}) {
		t.Errorf("%v", got)
	}
}

func TestFaultsOfTheOtherServersSpeakTheirLanguage(t *testing.T) {
	s := start(t, sandbox.Options{Faults: []string{"s3.list_buckets=503", "vault.get_health=500"}})
	for url, want := range map[string]string{s.S3() + "/": "<Code>SlowDown</Code>", s.Vault() + "/v1/sys/health": `"errors"`} {
		resp, err := client(t, s).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode < 500 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s", url, resp.StatusCode, body)
		}
	}
}

func TestBadFaults(t *testing.T) {
	for spec, hint := range map[string]string{
		"vms.post_s3key=500":      "did you mean vms.post_s3keys?",
		"vms.post_s3keys=hung":    "did you mean hang?",
		"vms.post_s3keys":         "vms.post_s3keys=500*2",
		"zzz=500":                 "--list-faults",
		"vms.post_s3keys=500*0":   "",
		"vms.post_s3keys=500*x":   "",
		"vms.post_s3keys=500*-1":  "",
		"vms.post_s3keys=500*1*1": "",
		"":                        "",
	} {
		s, err := sandbox.Start(t.Context(), sandbox.Options{Faults: []string{spec}})
		if s != nil {
			s.Close()
		}
		if !failure.Is(err, failure.Usage) || !strings.Contains(failure.HintOf(err), hint) {
			t.Errorf("%q: %v (hint %q)", spec, err, failure.HintOf(err))
		}
	}
}

func TestListFaults(t *testing.T) {
	list := sandbox.ListFaults()
	data, err := json.Marshal(list[:1])
	if err != nil || !strings.HasPrefix(string(data), `[{"route":"`) || !strings.Contains(string(data), `"kinds":["500",`) {
		t.Errorf("%s %v", data, err)
	}
	seen := map[string]bool{}
	for _, f := range list {
		server, _, _ := strings.Cut(f.Route, ".")
		seen[server] = true
		if len(f.Kinds) != 8 {
			t.Errorf("%+v", f)
		}
	}
	if !seen["vms"] || !seen["vault"] || !seen["s3"] || len(seen) != 3 {
		t.Errorf("servers %v", seen)
	}
}
