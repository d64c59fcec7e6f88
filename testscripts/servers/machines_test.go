package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A machine of its own is a network namespace with an address, a machine id and
// directories of its own. Namespaces take root and iproute2, so how many there
// are is asked for: VALETKEY_TEST_MACHINES=20 VALETKEY_TEST_PROCESSES=50.
const (
	machinesVariable  = "VALETKEY_TEST_MACHINES"
	processesVariable = "VALETKEY_TEST_PROCESSES"
)

// TestMachines lets many machines want the key of one user at once: the winner
// lives, is killed in the middle of issuing, loses the answer, or is stopped for
// longer than its lease and goes on. VMS is the sandbox, Vault is real.
func TestMachines(t *testing.T) {
	count := fromEnv(t, machinesVariable, 0)
	if count == 0 {
		t.Logf("set %s to run this test, as root", machinesVariable)
		return
	}
	each := fromEnv(t, processesVariable, 50)
	vault := StartVault(t)
	n := newNetwork(t, count)
	vaultAt := n.relay(t, vault.Address).address
	t.Logf("%-28s %9s %6s %6s %9s %9s %9s", "what happens", "processes", "failed", "POSTs", "live keys", "seen keys", "last after")
	for _, play := range []struct {
		name    string
		faults  []string
		disturb func(*site, *testing.T)
	}{
		{"nothing", nil, nil},
		{"the winner is killed", []string{"vms.post_s3keys=hang*1"}, (*site).killWinner},
		{"the answer is lost", []string{"vms.post_s3keys=drop-after-commit*1"}, nil},
		// A slow list gives this test the time to find out who the winner is.
		{"the winner is stopped", []string{"vms.get_s3keys=slow*1", "vms.post_s3keys=slow*1"}, (*site).stopWinner},
	} {
		t.Run(play.name, func(t *testing.T) {
			f := newSite(t, n, vault, vaultAt, play.faults)
			began := time.Now()
			answers := f.start(t, each)
			if play.disturb != nil {
				play.disturb(f, t)
			}
			seen, failed := map[string]int{}, 0
			for range count * each {
				a := <-answers
				if a.err != nil {
					failed++
					f.complain(t, a.err)
					continue
				}
				seen[a.accessKey]++
			}
			last := time.Since(began)
			f.resume()
			reaped := f.machines[0].run(t, "keys", "reap", "--yes", "-o", "json")
			live := f.live(t)
			t.Logf("%-28s %9d %6d %6d %9d %9d %9s  reap: %s", play.name, count*each, failed, f.posts(t), len(live), len(seen), last.Round(time.Second/10), strings.TrimSpace(reaped))
			if len(live) != 1 || len(seen) != 1 || seen[live[0]] == 0 {
				t.Errorf("VMS has %v, the fleet got %v: want one key, the same", live, seen)
			}
			if failed > 1 { // the one that was killed, or whose answer was lost
				t.Errorf("%d processes failed", failed)
			}
			for _, m := range f.machines {
				if got := m.run(t, "credential-process"); !strings.Contains(got, live[0]) {
					t.Errorf("%s hands out another key", m.name)
				}
			}
		})
	}
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// network is a bridge with one namespace a machine behind it.
type network struct {
	subnet string   // its first three bytes, with a dot behind
	host   string   // address of the bridge
	names  []string // of the namespaces
}

func newNetwork(t *testing.T, count int) *network {
	t.Helper()
	tag := strings.ToLower(rand.Text()[:4])
	bridge := "vkb" + tag
	var own [1]byte
	_, _ = rand.Read(own[:]) // never fails
	subnet := fmt.Sprintf("10.213.%d.", own[0])
	n := &network{subnet: subnet, host: subnet + "1"}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	quietly := func(args ...string) { _ = exec.Command("ip", args...).Run() }
	ip("link", "add", bridge, "type", "bridge")
	t.Cleanup(func() { quietly("link", "del", bridge) })
	ip("addr", "add", n.host+"/24", "dev", bridge)
	ip("link", "set", bridge, "up")
	for i := range count {
		name := fmt.Sprintf("vk%s%d", tag, i)
		ip("netns", "add", name)
		t.Cleanup(func() { quietly("netns", "del", name) })
		// `ip netns exec` shows its programs what lies here in place of /etc's own.
		etc := filepath.Join("/etc/netns", name)
		t.Cleanup(func() { _ = os.RemoveAll(etc) })
		if err := os.MkdirAll(etc, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(etc, "machine-id"), fmt.Appendf(nil, "%032x\n", i+1), 0o644); err != nil {
			t.Fatal(err)
		}
		outer, inner := fmt.Sprintf("vo%s%d", tag, i), "eth0"
		ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
		ip("link", "set", outer, "master", bridge, "up")
		ip("-n", name, "addr", "add", fmt.Sprintf("%s%d/24", n.subnet, i+10), "dev", inner)
		ip("-n", name, "link", "set", inner, "up")
		ip("-n", name, "link", "set", "lo", "up")
		n.names = append(n.names, name)
	}
	if _, err := os.Stat("/etc/machine-id"); err != nil {
		t.Fatal("there is no /etc/machine-id to stand in for: ", err)
	}
	return n
}

// relay makes a server of this machine's loopback reachable from the others, and
// sees which of their requests wait for an answer.
type relay struct {
	address string // https://host:port

	mu      sync.Mutex
	waiting map[string]time.Time // by the client's address: since when
}

func (n *network) relay(t *testing.T, address string) *relay {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", n.host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	r := &relay{address: "https://" + listener.Addr().String(), waiting: map[string]time.Time{}}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(near.(*net.TCPConn), target.Host)
		}
	}()
	return r
}

func (r *relay) serve(near *net.TCPConn, target string) {
	defer near.Close()
	dialled, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	far := dialled.(*net.TCPConn)
	defer far.Close()
	client := near.RemoteAddr().String()
	defer r.note(client, false)
	go func() {
		_, _ = io.Copy(far, noting{near, func() { r.note(client, true) }})
		_ = far.CloseWrite()
	}()
	_, _ = io.Copy(near, noting{far, func() { r.note(client, false) }})
}

// noting is a reader that tells when it has read something.
type noting struct {
	io.Reader
	told func()
}

// Read reads.
func (n noting) Read(p []byte) (int, error) {
	k, err := n.Reader.Read(p)
	if k > 0 {
		n.told()
	}
	return k, err
}

func (r *relay) note(client string, waits bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if waits {
		r.waiting[client] = time.Now()
	} else {
		delete(r.waiting, client)
	}
}

// longest is the client that has waited for longest, if for that long.
func (r *relay) longest(atLeast time.Duration) (client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, since := range r.waiting {
		if d := time.Since(since); d > atLeast {
			client, atLeast = c, d
		}
	}
	return client
}

// site is the machines of one user, around a VMS of their own.
type site struct {
	machines []*host
	subnet   string
	box      *box
	vms      *relay
	stopped  int // a process that is stopped, or 0
	told     sync.Once
}

type host struct {
	name, home, binary string
	env                []string
}

type answer struct {
	accessKey string
	err       error
}

func newSite(t *testing.T, n *network, vault *Vault, vaultAt string, faults []string) *site {
	t.Helper()
	binary, err := valetkeyProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	box := startFaultySandbox(t, faults)
	f := &site{subnet: n.subnet, box: box}
	f.vms = n.relay(t, box.value("VALETKEY_VMS_ADDRESS"))
	for _, name := range n.names {
		m := &host{name: name, home: t.TempDir(), binary: binary}
		identity := filepath.Join(m.home, "identity")
		copyFile(t, identity, box.value("VALETKEY_STORE_IDENTITY"), 0o600)
		m.env = append(Environ(), "HOME="+m.home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=",
			"VALETKEY_STORE=vault", "VALETKEY_TOKENS_STORE=file", "VALETKEY_STORE_IDENTITY="+identity, "VALETKEY_TIMEOUT=4m",
			"VALETKEY_VMS_ADDRESS="+f.vms.address, "VALETKEY_VMS_SERVER_NAME=localhost", "VALETKEY_VMS_CA_FILE="+box.value("VALETKEY_VMS_CA_FILE"),
			"VALETKEY_VMS_USERNAME="+box.value("VALETKEY_VMS_USERNAME"), "VALETKEY_VMS_PASSWORD="+box.value("VALETKEY_VMS_PASSWORD"),
			"VALETKEY_VAULT_ADDRESS="+vaultAt, "VALETKEY_VAULT_SERVER_NAME=localhost", "VALETKEY_VAULT_CA_FILE="+vault.CAFile,
			"VALETKEY_VAULT_TOKEN="+vault.Token)
		f.machines = append(f.machines, m)
	}
	return f
}

func (m *host) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", m.name, m.binary}, args...)...)
	cmd.Env = m.env
	return cmd
}

func (m *host) run(t *testing.T, args ...string) string {
	t.Helper()
	var out, say bytes.Buffer
	cmd := m.command(t.Context(), args...)
	cmd.Stdout, cmd.Stderr = &out, &say
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: valetkey %s: %v: %s", m.name, strings.Join(args, " "), err, &say)
	}
	return out.String()
}

// crowd starts a command so often at once, and leaves what each answers in files.
const crowd = `for i in $(seq "$1"); do
	{ "$0" credential-process >"$2/$i.out" 2>"$2/$i.err"; echo $? >"$2/$i.code"; } &
done
wait`

// start lets every machine want the key, as often as each says, all at once.
// Entering a namespace is slow, so it is done once a machine.
func (f *site) start(t *testing.T, each int) <-chan answer {
	t.Helper()
	answers := make(chan answer, len(f.machines)*each)
	for _, m := range f.machines {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", m.name, "sh", "-c", crowd, m.binary, strconv.Itoa(each), dir)
		cmd.Env = m.env
		go func() {
			_ = cmd.Run() // each process has a code of its own
			for i := range each {
				answers <- readAnswer(filepath.Join(dir, strconv.Itoa(i+1)))
			}
		}()
	}
	return answers
}

func readAnswer(file string) answer {
	code, err := os.ReadFile(file + ".code")
	if err != nil {
		return answer{err: err}
	}
	if c := strings.TrimSpace(string(code)); c != "0" {
		say, _ := os.ReadFile(file + ".err")
		return answer{err: fmt.Errorf("exit %s: %s", c, say)}
	}
	out, err := os.ReadFile(file + ".out")
	if err != nil {
		return answer{err: err}
	}
	var doc struct{ AccessKeyId string } //nolint:revive // as the protocol spells it
	err = json.Unmarshal(out, &doc)
	return answer{doc.AccessKeyId, err}
}

// complain shows the first failure.
func (f *site) complain(t *testing.T, err error) {
	f.told.Do(func() { t.Logf("a process failed: %v", err) })
}

// killWinner kills whoever has asked VMS for a key.
func (f *site) killWinner(t *testing.T) { f.signalWinner(t, syscall.SIGKILL) }

// stopWinner stops it for longer than its lease, and lets it go on once another
// has taken over.
func (f *site) stopWinner(t *testing.T) {
	f.stopped = f.signalWinner(t, syscall.SIGSTOP)
	began := time.Now()
	for deadline := began.Add(3 * time.Minute); f.posts(t) < 2 && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("the winner was taken over from after %s", time.Since(began).Round(time.Second/10))
	time.Sleep(time.Second)
	f.resume()
}

func (f *site) resume() {
	if f.stopped != 0 {
		_ = syscall.Kill(f.stopped, syscall.SIGCONT)
		f.stopped = 0
	}
}

// signalWinner finds the process that waits for a key: of all only the one with
// the claim speaks to VMS, and it has its list by then. Who it is takes a while to
// find out, so that is done as soon as it speaks.
func (f *site) signalWinner(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	owners := map[string]int{}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		client := f.vms.longest(0)
		if client == "" {
			continue
		}
		if owners[client] == 0 {
			owners[client] = f.ownerOf(client)
		}
		if len(f.requests(t, "GET", "/api/s3keys/")) == 0 || f.vms.longest(200*time.Millisecond) != client {
			continue
		}
		if pid := owners[client]; pid != 0 && syscall.Kill(pid, sig) == nil {
			t.Logf("%v for process %d, at %s", sig, pid, client)
			return pid
		}
	}
	t.Fatal("nobody is seen to issue a key")
	return 0
}

// ownerOf finds the process that has the socket with a local address.
func (f *site) ownerOf(client string) int {
	host, portText, _ := net.SplitHostPort(client)
	port, _ := strconv.Atoi(portText)
	for i, m := range f.machines {
		if host != fmt.Sprintf("%s%d", f.subnet, i+10) {
			continue
		}
		pids, err := exec.Command("ip", "netns", "pids", m.name).Output()
		if err != nil {
			return 0
		}
		all := strings.Fields(string(pids))
		if len(all) == 0 {
			return 0
		}
		table, _ := os.ReadFile("/proc/" + all[0] + "/net/tcp") // one for the namespace
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			for _, pid := range all {
				if holds(pid, "socket:["+fields[9]+"]") {
					n, _ := strconv.Atoi(pid)
					return n
				}
			}
		}
	}
	return 0
}

func holds(pid, file string) bool {
	dir := "/proc/" + pid + "/fd"
	open, _ := os.ReadDir(dir)
	return slices.ContainsFunc(open, func(e os.DirEntry) bool {
		target, _ := os.Readlink(filepath.Join(dir, e.Name()))
		return target == file
	})
}

// posts counts the requests for a key that VMS answered, or gave up.
func (f *site) posts(t *testing.T) int { return len(f.requests(t, "POST", "/api/s3keys/")) }

func (f *site) requests(t *testing.T, method, path string) (found []map[string]any) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(f.box.dir, "requests.jsonl"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		var r map[string]any
		if json.Unmarshal(line, &r) == nil && r["method"] == method && r["path"] == path {
			found = append(found, r)
		}
	}
	return found
}

// live are the user's keys at VMS.
func (f *site) live(t *testing.T) (keys []string) {
	t.Helper()
	var list []struct {
		AccessKey string `json:"access_key"`
	}
	if err := json.Unmarshal([]byte(f.machines[0].run(t, "keys", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, k := range list {
		keys = append(keys, k.AccessKey)
	}
	slices.Sort(keys)
	return keys
}
