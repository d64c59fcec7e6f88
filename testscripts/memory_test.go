//go:build unix

package testscripts

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// manyKeys is a VMS whose local users hold n keys, in pages or as one array. From
// page number broken on (0 is never) it ends in the middle.
func manyKeys(t *testing.T, n int, paged bool, broken int) *httptest.Server {
	t.Helper()
	const size = 999
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/locals3keys/" {
			http.NotFound(w, r)
			return
		}
		page, from, to, end := 1, 0, n, "]"
		before := "["
		if paged {
			if r.URL.Query().Has("page") {
				page, _ = strconv.Atoi(r.URL.Query().Get("page"))
			}
			from, to = (page-1)*size, min(page*size, n)
			next := "null"
			if to < n {
				next = fmt.Sprintf(`"https://%s/api/locals3keys/?page=%d"`, r.Host, page+1)
			}
			before, end = fmt.Sprintf(`{"count":%d,"next":%s,"previous":null,"results":[`, n, next), "]}"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, before)
		for i := from; i < to; i++ {
			if i > from {
				_, _ = io.WriteString(w, ",")
			}
			_, _ = fmt.Fprintf(w, `{"id":%d,"access_key":"%020d","creation_time":"2026-01-02T03:04:05Z","enabled":true,"tenant":{"id":1,"name":"default"},"user":{"id":%d,"name":"user%d"}}`, i, i, i/2, i/2)
			if page == broken && i == (from+to)/2 {
				panic(http.ErrAbortHandler)
			}
		}
		_, _ = io.WriteString(w, end)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// listAll runs keys list --all on a server; peak is in the system's own unit.
func listAll(t *testing.T, server *httptest.Server, out io.Writer, args ...string) (code int, peak int64, errs string) {
	t.Helper()
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil { //nolint:gosec // a directory
		t.Fatal(err)
	}
	ca := filepath.Join(home, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(binary, append([]string{"keys", "list", "--all"}, args...)...)
	cmd.Env = []string{
		"HOME=" + home, "VALETKEY_VMS_ADDRESS=" + server.URL, "VALETKEY_VMS_CA_FILE=" + ca,
		"VALETKEY_VMS_USERNAME=admin", "VALETKEY_VMS_PASSWORD=secret", "VALETKEY_STORE=memory",
	}
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("the system tells no peak of memory")
	}
	return cmd.ProcessState.ExitCode(), int64(usage.Maxrss), stderr.String() //nolint:unconvert // int32 on some systems
}

// counter counts lines.
type counter struct{ lines int }

func (c *counter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte{'\n'})
	return len(p), nil
}

// A list of any length takes no more memory than a short one. That --jq, which
// wants it whole, takes much more shows that the measure would tell.
func TestAllKeysInFlatMemory(t *testing.T) {
	const few = 1_000
	for _, c := range []struct {
		many  int
		paged bool
		flat  bool
		args  []string
	}{
		{100_000, true, true, []string{"-o", "json"}},
		{100_000, false, true, []string{"-o", "json"}},
		{100_000, true, true, nil}, // plain lines
		{20_000, true, true, []string{"-o", "table"}},
		{5_000, true, true, []string{"-o", "yaml"}},
		{100_000, true, false, []string{"--jq", ".[].access_key"}},
	} {
		peaks := map[int]int64{}
		for _, n := range []int{few, c.many} {
			var out counter
			code, peak, errs := listAll(t, manyKeys(t, n, c.paged, 0), &out, c.args...)
			if code != 0 || out.lines < n {
				t.Fatalf("%d keys, %v: exit code %d, %d lines, %s", n, c.args, code, out.lines, errs)
			}
			peaks[n] = peak
		}
		ratio := float64(peaks[c.many]) / float64(peaks[few])
		t.Logf("paged %t, %v: peak memory of %d keys is %.2f times that of %d", c.paged, c.args, c.many, ratio, few)
		if (ratio < 2) != c.flat {
			t.Errorf("paged %t, %v: %d keys take %.2f times the memory of %d", c.paged, c.args, c.many, ratio, few)
		}
	}
}

// What came before a page that breaks off is shown, and not as a whole list.
func TestAllKeysUpToABrokenPage(t *testing.T) {
	server := manyKeys(t, 5_000, true, 3)
	var out bytes.Buffer
	code, _, errs := listAll(t, server, &out, "-o", "json")
	if got := strings.Count(out.String(), "access_key"); code != 10 || got < 2*999 || got > 3*999 {
		t.Errorf("exit code %d, %d keys, %s", code, got, errs)
	}
	if json.Valid(out.Bytes()) || !strings.Contains(errs, `"code":"network"`) {
		t.Errorf("it looks complete: %s", errs)
	}
	var lines counter
	if code, _, errs := listAll(t, server, &lines); code != 10 || lines.lines < 2*999 || lines.lines > 3*999 {
		t.Errorf("exit code %d, %d lines, %s", code, lines.lines, errs)
	}
	gone := manyKeys(t, 0, true, 0)
	gone.Config.Handler = http.NotFoundHandler()
	if code, _, errs := listAll(t, gone, io.Discard); code != 10 || !strings.Contains(errs, "VAST 5.3 and later have it") {
		t.Errorf("an older cluster: exit code %d, %s", code, errs)
	}
}
