// Package servers runs valetkey against the real things: Vault, MinIO, the
// keyring of a desktop and the SDKs that people have. `make test-servers` runs
// its tests. Both servers are built from source, as programs of their own:
// neither is ever linked into valetkey.
//
// A server or a client that is missing is a failure, never a skip.
package servers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valetkey/valetkey/testscripts/servers/certs"
)

const (
	patience      = 90 * time.Second // bounds the start of a server on a busy machine
	buildPatience = 25 * time.Minute // bounds the build of one, cold: four CPU minutes and more
)

// A program is built once a test run, into bin/ of the repository, where the
// next run finds it.
type program struct {
	dir, pkg, name string // dir is the module's, as seen from this one
	tests          bool   // the program is that of the package's tests
	once           sync.Once
	path           string
	err            error
}

var (
	valetkeyProgram = &program{dir: "../..", pkg: "./cmd/valetkey", name: "valetkey-servers"}
	vaultProgram    = &program{dir: ".", pkg: "./cmd/realvault", name: "realvault"}
	minioProgram    = &program{dir: "minio", pkg: "github.com/minio/minio", name: "minio"}
	goSDKProgram    = &program{dir: "../..", pkg: "./testscripts/gosdk", name: "gosdk"}
	storiesProgram  = &program{dir: "../..", pkg: "./testscripts", name: "stories.test", tests: true}
)

func (p *program) build() (string, error) {
	p.once.Do(func() {
		root, err := filepath.Abs(filepath.Join("..", ".."))
		if err != nil {
			p.err = err
			return
		}
		p.path = filepath.Join(root, "bin", p.name)
		// As `go vet` and the linter build it, so that what they compiled is used again.
		ctx, cancel := context.WithTimeout(context.Background(), buildPatience)
		defer cancel()
		verb := []string{"build"}
		if p.tests {
			verb = []string{"test", "-c"}
		}
		build := exec.CommandContext(ctx, "go", append(verb, "-o", p.path, p.pkg)...)
		build.Dir = p.dir
		build.Cancel = func() error { return build.Process.Signal(os.Interrupt) } // it ends its compilers
		build.WaitDelay = 10 * time.Second
		if out, err := build.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("build %s: %w\n%s", p.name, err, out)
		}
	})
	return p.path, p.err
}

// Vault is a real, empty Vault, set up as cmd/realvault says.
type Vault struct {
	Address, CAFile, Token     string
	RoleID, SecretID, Password string // AppRole valetkey; userpass alice
}

// StartVault starts a Vault that ends with the test.
func StartVault(t *testing.T) *Vault {
	t.Helper()
	binary, err := vaultProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(Environ(), "TMPDIR="+t.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	noise := start(t, cmd)
	t.Cleanup(func() { _ = stdin.Close() }) // before the kill that start has arranged

	said := make(chan map[string]string, 1)
	go func() {
		values := map[string]string{}
		lines := bufio.NewScanner(stdout)
		for lines.Scan() && lines.Text() != "" {
			name, value, _ := strings.Cut(lines.Text(), "=")
			values[name] = value
		}
		said <- values
		_, _ = io.Copy(io.Discard, stdout)
	}()
	var values map[string]string
	select {
	case values = <-said:
	case <-time.After(patience):
	}
	v := &Vault{
		Address: values["VALETKEY_VAULT_ADDRESS"], CAFile: values["VALETKEY_VAULT_CA_FILE"], Token: values["VALETKEY_VAULT_TOKEN"],
		RoleID: values["VALETKEY_SANDBOX_ROLE_ID"], SecretID: values["VALETKEY_SANDBOX_SECRET_ID"],
		Password: values["VALETKEY_SANDBOX_PASSWORD_ALICE"],
	}
	if v.Password == "" {
		t.Fatalf("vault did not start: %s", noise)
	}
	return v
}

// MinIO is a real, empty object store.
type MinIO struct {
	Endpoint, CAFile     string
	AccessKey, SecretKey string       // root's
	HTTP                 *http.Client // trusts its CA
}

// StartMinIO starts a MinIO that ends with the test.
func StartMinIO(t *testing.T) *MinIO {
	t.Helper()
	binary, err := minioProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pair, err := certs.New()
	if err != nil {
		t.Fatal(err)
	}
	caFile, err := pair.WriteCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	certDir := filepath.Join(dir, "certs")
	for name, data := range map[string][]byte{"public.crt": pair.Certificate, "private.key": pair.Key} {
		if err := os.MkdirAll(certDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(certDir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	m := &MinIO{
		Endpoint: "https://" + address, CAFile: caFile, AccessKey: "valetkeytest", SecretKey: rand.Text(),
		HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: pair.ClientTLS()}, Timeout: 30 * time.Second},
	}
	cmd := exec.Command(binary, "server", filepath.Join(dir, "data"), "--address", address, "--certs-dir", certDir, "--quiet", "--anonymous")
	cmd.Env = append(Environ(), "HOME="+dir, "MINIO_ROOT_USER="+m.AccessKey, "MINIO_ROOT_PASSWORD="+m.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off")
	noise := start(t, cmd)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !m.healthy(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("minio did not start: %s", noise)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return m
}

func (m *MinIO) healthy(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Endpoint+"/minio/health/ready", nil)
	if err != nil {
		return false
	}
	answer, err := m.HTTP.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Environ is this process's environment without anything that would point a
// client at somebody's real account.
func Environ() (env []string) {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		foreign := false
		for _, prefix := range []string{"AWS_", "VAULT_", "VMS_", "VAST_", "VALETKEY_", "MINIO_", "RCLONE_", "DBUS_", "GNOME_KEYRING_"} {
			foreign = foreign || strings.HasPrefix(name, prefix)
		}
		if !foreign && !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			env = append(env, pair)
		}
	}
	return env
}

// start runs a program in a process group of its own and arranges for the whole
// group to end with the test. It returns what the program says on stderr.
func start(t *testing.T, cmd *exec.Cmd) fmt.Stringer {
	t.Helper()
	noise := &tail{}
	if cmd.Stdout == nil {
		cmd.Stdout = noise
	}
	cmd.Stderr = noise
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
		}
		// Whatever is left of the group goes too.
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Log(err)
		}
		<-ended
	})
	return noise
}

// tail keeps the last of what a server says, for the message of a failing test.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps p.
func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.text.Len() > 64<<10 {
		w.text.Reset()
	}
	return w.text.Write(p)
}

// String returns what was kept.
func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// output is what a program prints, without the newline at its end.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return strings.TrimSuffix(string(out), "\n")
}
