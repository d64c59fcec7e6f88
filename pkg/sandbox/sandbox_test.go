package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox"
)

// start runs a sandbox for the test.
func start(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client trusts the sandbox's authority and nobody else.
func client(t *testing.T, s *sandbox.Sandbox) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("ca.pem holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func TestAllThreeAnswer(t *testing.T) {
	began := time.Now()
	s := start(t, sandbox.Options{})
	t.Logf("started in %v", time.Since(began))
	c := client(t, s)
	for path, want := range map[string]int{
		s.VMS() + "/api/s3keys/":        http.StatusUnauthorized,
		s.Vault() + "/v1/sys/health":    http.StatusOK,
		s.S3() + "/":                    http.StatusForbidden,
		s.VMS() + "/api/v99/s3keys/":    http.StatusNotFound,
		s.VMS() + "/api/latest/s3keys/": http.StatusUnauthorized,
	} {
		resp, err := c.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// logged is a line of requests.jsonl; a field that is not here is an error.
type logged struct {
	Time   time.Time `json:"time"`
	Server string    `json:"server"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
	User   string    `json:"user"`
}

func requests(t *testing.T, s *sandbox.Sandbox) []logged {
	t.Helper()
	return readLog(t, filepath.Join(s.Dir(), "requests.jsonl"))
}

func readLog(t *testing.T, path string) []logged {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []logged
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var l logged
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if l.Time.IsZero() || !strings.Contains(lines.Text(), `Z"`) {
			t.Errorf("time of %s", lines.Text())
		}
		l.Time = time.Time{}
		list = append(list, l)
	}
	return list
}

func TestRequestLog(t *testing.T) {
	extra := filepath.Join(t.TempDir(), "copy.jsonl")
	s := start(t, sandbox.Options{LogFile: extra})
	_, body, _ := post(t, s, "alice")
	var pair struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.Unmarshal([]byte(body), &pair); err != nil {
		t.Fatal(err)
	}
	do(t, s, http.MethodDelete, "alice", "/api/s3keys/"+pair.AccessKey+"/?token=hush")
	do(t, s, http.MethodGet, "nobody", "/api/s3keys/")
	if resp, err := client(t, s).Get(s.Vault() + "/v1/sys/health?standbyok=true"); err != nil {
		t.Fatal(err)
	} else {
		resp.Body.Close()
	}
	want := []logged{
		{Server: "vms", Method: "POST", Path: "/api/s3keys/", Status: 201, User: "alice"},
		{Server: "vms", Method: "DELETE", Path: "/api/s3keys/****" + pair.AccessKey[16:] + "/", Status: 204, User: "alice"},
		{Server: "vms", Method: "GET", Path: "/api/s3keys/", Status: 401},
		{Server: "vault", Method: "GET", Path: "/v1/sys/health", Status: 200},
	}
	if diff := cmp.Diff(want, requests(t, s)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, readLog(t, extra)); diff != "" {
		t.Error(diff)
	}
	data, _ := os.ReadFile(extra)
	for _, secret := range []string{pair.AccessKey, pair.SecretKey, s.Password("alice").Reveal(), "hush"} {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// The table of what a person finds in the environment; a name or a fixed value changes for nobody.
func TestEnvIsComplete(t *testing.T) {
	s := start(t, sandbox.Options{Binary: binary(t, "valetkey")})
	dir, ca := s.Dir(), s.CAFile()
	want := []string{
		"VALETKEY_SANDBOX_DIR=" + dir,
		"VALETKEY_CONFIG=" + filepath.Join(dir, "config", "config.yaml"),
		"VALETKEY_STATE_DIR=" + filepath.Join(dir, "state"),
		"VALETKEY_STORE=file",
		"VALETKEY_STORE_DIR=" + filepath.Join(dir, "store"),
		"VALETKEY_STORE_IDENTITY=" + filepath.Join(dir, "identity.txt"),
		"VALETKEY_VMS_ADDRESS=" + s.VMS(),
		"VALETKEY_VMS_CA_FILE=" + ca,
		"VALETKEY_VMS_USERNAME=alice",
		"VALETKEY_VMS_PASSWORD=[redacted]",
		"VALETKEY_SANDBOX_PASSWORD_BOB=[redacted]",
		"VALETKEY_SANDBOX_PASSWORD_CAROL=[redacted]",
		"VALETKEY_SANDBOX_PASSWORD_ADMIN=[redacted]",
		"VALETKEY_VAULT_ADDRESS=" + s.Vault(),
		"VALETKEY_VAULT_CA_FILE=" + ca,
		"VALETKEY_VAULT_TOKEN=[redacted]",
		"VALETKEY_SANDBOX_ROLE_ID=*",
		"VALETKEY_SANDBOX_SECRET_ID=[redacted]",
		"VALETKEY_TEAM=demo",
		"VALETKEY_JOB=hello-job",
		"VALETKEY_S3_ENDPOINT=" + s.S3(),
		"AWS_ENDPOINT_URL=" + s.S3(),
		"AWS_CA_BUNDLE=" + ca,
		"AWS_REGION=us-east-1",
		"AWS_CONFIG_FILE=" + filepath.Join(dir, "aws", "config"),
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "aws", "credentials"),
		"AWS_EC2_METADATA_DISABLED=true",
		"NODE_EXTRA_CA_CERTS=" + ca,
		"NO_PROXY=127.0.0.1,localhost",
		"no_proxy=127.0.0.1,localhost",
	}
	var got []string
	secrets := map[string]bool{}
	for _, v := range s.Env(nil) {
		line := fmt.Sprint(v)
		if v.Name == "VALETKEY_SANDBOX_ROLE_ID" {
			line = v.Name + "=*"
		}
		got = append(got, line)
		if v.Value == "" {
			t.Errorf("%s is empty", v.Name)
		}
		if v.Secret {
			if secrets[v.Value] || len(v.Value) < 20 {
				t.Errorf("%s is not a secret of its own", v.Name)
			}
			secrets[v.Value] = true
			if shown := fmt.Sprintf("%v %+v %#v %s", v, v, v, v); strings.Contains(shown, v.Value) {
				t.Errorf("%s shows", v.Name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, name := range sandbox.Variables() {
		if !strings.HasPrefix(want[i], name+"=") {
			t.Errorf("variable %d is %s", i, name)
		}
	}
	other := start(t, sandbox.Options{})
	for _, name := range []string{"alice", "bob", "carol", "dora", "admin"} {
		if other.Password(name).Equal(s.Password(name)) || s.Password(name).IsEmpty() {
			t.Errorf("two sandboxes share the password of %s", name)
		}
	}
}

// binary is an absolute path on this system; nothing need lie there.
func binary(t *testing.T, elements ...string) string {
	t.Helper()
	return filepath.Join(append([]string{t.TempDir()}, elements...)...)
}

func TestFilesAndTheirModes(t *testing.T) {
	path := binary(t, "my tools", "valetkey")
	s := start(t, sandbox.Options{Binary: path})
	if runtime.GOOS != "windows" {
		err := filepath.WalkDir(s.Dir(), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			want := fs.FileMode(0o600)
			if d.IsDir() {
				want = 0o700
			}
			if err == nil && info.Mode().Perm() != want {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(s.Dir(), "aws", "config"))
	if want := "[default]\nregion = us-east-1\ncredential_process = /usr/bin/env \"" + path + "\" credential-process\n"; err != nil || string(data) != want {
		t.Errorf("%s %v", data, err)
	}
	f, err := os.Open(filepath.Join(s.Dir(), "identity.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ids, err := age.ParseIdentities(f); err != nil || len(ids) != 1 {
		t.Errorf("identity: %v %v", ids, err)
	}
}

func TestPathsThatNoToolCanQuoteAreRefused(t *testing.T) {
	_, err := sandbox.Start(t.Context(), sandbox.Options{Binary: binary(t, "a$b", "valetkey")})
	if !failure.Is(err, failure.Config) {
		t.Error(err)
	}
}

func TestCertificates(t *testing.T) {
	s := start(t, sandbox.Options{})
	data, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Fatalf("%s", data)
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !ca.IsCA || time.Until(ca.NotAfter) > 24*time.Hour {
		t.Errorf("%+v %v", ca, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	host := strings.TrimPrefix(s.VMS(), "https://")
	for name, good := range map[string]bool{"127.0.0.1": true, "localhost": true, "vms.example": false, "127.0.0.2": false} {
		conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12})
		if (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if c := conn.ConnectionState().PeerCertificates[0]; time.Until(c.NotAfter) > 24*time.Hour || c.IsCA {
				t.Errorf("certificate until %v", c.NotAfter)
			}
			conn.Close()
		}
	}
}

func TestChildEnv(t *testing.T) {
	s := start(t, sandbox.Options{})
	base := []string{
		"PATH=/bin", "AWS_PROFILE=prod", "AWS_ACCESS_KEY_ID=AKIA", "VAULT_TOKEN=t", "VMS_ADDRESS=prod", "VAST_VIP=prod",
		"VALETKEY_PROFILE=prod", "VALETKEY_VMS_USERNAME=me", "HTTPS_PROXY=http://proxy", "no_proxy=corp", "LANG=C", "XAWS_Y=1",
	}
	got := map[string]string{}
	for _, entry := range s.ChildEnv(base) {
		name, value, _ := strings.Cut(entry, "=")
		if _, twice := got[name]; twice {
			t.Errorf("%s twice", name)
		}
		got[name] = value
	}
	for name, want := range map[string]string{
		"PATH": "/bin", "LANG": "C", "XAWS_Y": "1", "HTTPS_PROXY": "http://proxy", "VALETKEY_VMS_USERNAME": "alice",
		"NO_PROXY": "corp,127.0.0.1,localhost", "no_proxy": "corp,127.0.0.1,localhost",
		"VALETKEY_VMS_PASSWORD": s.Password("alice").Reveal(),
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "VAULT_TOKEN", "VMS_ADDRESS", "VAST_VIP", "VALETKEY_PROFILE"} {
		if _, there := got[name]; there {
			t.Errorf("%s is left", name)
		}
	}
}

func TestProxyExceptions(t *testing.T) {
	s := start(t, sandbox.Options{})
	for base, want := range map[string]string{
		"NO_PROXY=*":                   "* *",
		"NO_PROXY=a,localhost":         "a,localhost,127.0.0.1 a,localhost,127.0.0.1",
		"NO_PROXY=a no_proxy=b":        "a,127.0.0.1,localhost b,127.0.0.1,localhost",
		"NO_PROXY=127.0.0.1,localhost": "127.0.0.1,localhost 127.0.0.1,localhost",
	} {
		if runtime.GOOS == "windows" && strings.Contains(base, " ") {
			continue // one variable there
		}
		values := map[string]string{}
		for _, v := range s.Env(strings.Fields(base)) {
			values[v.Name] = v.Value
		}
		if got := values["NO_PROXY"] + " " + values["no_proxy"]; got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}

func TestTheClockMovesAllServers(t *testing.T) {
	s := start(t, sandbox.Options{})
	c := client(t, s)
	login, err := c.Post(s.VMS()+"/api/token/", "application/json",
		strings.NewReader(`{"username":"alice","password":"`+s.Password("alice").Reveal()+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	var token struct{ Access string }
	if err := json.NewDecoder(login.Body).Decode(&token); err != nil {
		t.Fatal(err)
	}
	login.Body.Close()
	list := func() (int, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.VMS()+"/api/s3keys/", nil)
		req.Header.Set("Authorization", "Bearer "+token.Access)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, body := list(); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	clock := filepath.Join(s.Dir(), "clock")
	if err := os.WriteFile(clock, []byte("+25h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, body := list(); status != http.StatusForbidden || !strings.Contains(body, "Token is invalid or expired") {
		t.Errorf("a day later: %d %s", status, body)
	}
	for _, url := range []string{s.VMS() + "/api/", s.Vault() + "/v1/sys/health", s.S3() + "/"} {
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		date, err := http.ParseTime(resp.Header.Get("Date"))
		if ahead := time.Until(date); err != nil || ahead < 24*time.Hour || ahead > 26*time.Hour {
			t.Errorf("%s: Date %v", url, resp.Header["Date"])
		}
	}
	if err := os.Remove(clock); err != nil {
		t.Fatal(err)
	}
	if status, _ := list(); status != http.StatusOK {
		t.Errorf("back again: %d", status)
	}
}

func TestAPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, _ := strconv.Atoi(text)
	for flag, o := range map[string]sandbox.Options{
		"--vms-port": {VMSPort: port}, "--vault-port": {VaultPort: port}, "--s3-port": {S3Port: port},
	} {
		_, err := sandbox.Start(t.Context(), o)
		if !failure.Is(err, failure.Network) || !strings.Contains(failure.HintOf(err), flag) || failure.DetailsOf(err)["flag"] != flag {
			t.Errorf("%s: %v (hint %q)", flag, err, failure.HintOf(err))
		}
	}
	for _, bad := range []int{-1, 65536} {
		if _, err := sandbox.Start(t.Context(), sandbox.Options{S3Port: bad}); !failure.Is(err, failure.Usage) {
			t.Errorf("%d: %v", bad, err)
		}
	}
}

func TestDirectories(t *testing.T) {
	temp, err := sandbox.Start(t.Context(), sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(temp.Close(), temp.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(temp.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", temp.Dir(), err)
	}

	dir := filepath.Join(t.TempDir(), "new", "box")
	kept, err := sandbox.Start(t.Context(), sandbox.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Start(t.Context(), sandbox.Options{Dir: dir}); !failure.Is(err, failure.Conflict) {
		t.Errorf("two sandboxes in one directory: %v", err)
	}
	post(t, kept, "alice")
	for _, name := range []string{"clock", "state/journal", "store/item"} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte("+1h"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(readLog(t, filepath.Join(dir, "requests.jsonl"))); n != 1 {
		t.Errorf("%d requests kept", n)
	}
	again := start(t, sandbox.Options{Dir: dir})
	if n := len(requests(t, again)); n != 0 {
		t.Errorf("%d requests of the last run", n)
	}
	for _, name := range []string{"clock", "state/journal", "store/item"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left of the last run", name)
		}
	}
	if n := keysOf(t, again, "alice"); n != 0 {
		t.Errorf("%d keys of the last run", n)
	}
}

func TestForeignDirectoriesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state", "aws"} { // names a sandbox has, too
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sandbox.Start(t.Context(), sandbox.Options{Dir: dir}); !failure.Is(err, failure.Usage) {
		t.Error(err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Errorf("%v", entries)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below"), filepath.Join(dir, "a\nb"), filepath.Join(dir, "\x1b[31m")} {
		if _, err := sandbox.Start(t.Context(), sandbox.Options{Dir: bad}); failure.ExitCode(err) != 2 && failure.ExitCode(err) != 3 {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := sandbox.Start(t.Context(), sandbox.Options{LogFile: filepath.Join(file, "log")}); !failure.Is(err, failure.Usage) {
		t.Errorf("--log: %v", err)
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := sandbox.Start(ctx, sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFailedHandshakeIsNoted(t *testing.T) {
	s := start(t, sandbox.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.VMS(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn) // until the server gives up, and that it does is the point
	if names := dirNames(t, s.Dir()); !slices.Contains(names, "servers.log") {
		t.Errorf("%v", names)
	}
}

func dirNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
