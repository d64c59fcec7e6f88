// Package sandbox runs three HTTPS servers on loopback that stand for a VAST
// cluster and a Vault: VMS, S3 and Vault, with users who have known rights, in
// a directory of their own. It is what `valetkey dev` starts and what the
// stories of the test suite run against.
//
// The servers are honest: a key dies when VMS deletes it, signatures and clocks
// are checked, tokens expire, a third key is refused. On top come faults on
// request, a log of all requests, and a clock that can be moved.
//
// Nothing is kept from one run to the next. The key of the certificate
// authority never leaves memory.
package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox/observe"
	"github.com/valetkey/valetkey/pkg/sandbox/vmstest"
	"github.com/valetkey/valetkey/pkg/secret"
)

// Options say what to start. The zero value is a sandbox on free ports in a
// temporary directory.
type Options struct {
	// Dir is kept at the end, for inspection. It is created, or must be empty
	// or left by an earlier sandbox, whose files are then replaced. Empty means
	// a temporary directory that Close removes.
	Dir string

	VMSPort, VaultPort, S3Port int // 0 takes a free one

	Faults  []string    // ROUTE=KIND or ROUTE=KIND*N, see [ListFaults]
	LogFile string      // where the request log is copied to, appended
	Lost    func(error) // told once of each copy of the log that can be written no more; may be nil
	// KeyList, if set, decides what VMS answers when somebody lists her own keys; see
	// [vmstest.Options].
	KeyList func([]vmstest.ListedKey) any
	Binary  string // absolute path of valetkey for credential_process; empty leaves that line out
}

// Sandbox is a running sandbox. Its methods may be called concurrently.
type Sandbox struct {
	dir    string
	temp   bool
	lock   *durable.Held
	people people
	vms    string
	vault  string
	s3     string

	keyList func([]vmstest.ListedKey) any
	clock   observe.Clock
	faults  *faults
	log     *requestLog
	noise   *noise
	servers []*http.Server
	closing chan struct{} // closed by Close: sleeping faults end

	ctx    context.Context
	failed chan error
	once   sync.Once
	closed error
}

// people holds what the sandbox makes up for a run.
type people struct {
	passwords map[string]secret.Text
	rootToken secret.Text
	roleID    string
	secretID  secret.Text
}

// residentNames are those who have a password.
var residentNames = []string{"alice", "bob", "carol", "dora", "admin"}

func makePeople() people {
	p := people{passwords: map[string]secret.Text{}}
	for _, name := range residentNames {
		p.passwords[name] = secret.FromString(rand.Text())
	}
	p.rootToken = secret.FromString("hvs." + rand.Text())
	p.roleID = rand.Text()
	p.secretID = secret.FromString(rand.Text())
	return p
}

// Start starts the three servers. When it returns they answer. They run until
// [Sandbox.Close]; ctx ends [Sandbox.Wait].
//
// A wrong option is failure.Usage, a port that cannot be had failure.Network, a
// directory that another sandbox uses failure.Conflict.
func Start(ctx context.Context, o Options) (*Sandbox, error) {
	faults, err := parseFaults(o.Faults)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{
		people: makePeople(), faults: faults, keyList: o.KeyList,
		closing: make(chan struct{}), ctx: ctx, failed: make(chan error, 3),
	}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sandbox) start(ctx context.Context, o Options) error {
	if err := s.settle(o.Dir); err != nil {
		return err
	}
	s.clock = observe.Clock{Dir: s.dir}
	s.noise = &noise{path: filepath.Join(s.dir, noiseFile)}
	var err error
	if s.log, err = openLog(filepath.Join(s.dir, logFile), o.LogFile, o.Lost); err != nil {
		return err
	}
	halves, err := s.halves()
	if err != nil {
		return err
	}
	certificate, caPEM, err := makeCertificates(time.Now())
	if err != nil {
		return err
	}
	ports := map[string]struct {
		flag    string
		port    int
		address *string
	}{
		"vms":   {"--vms-port", o.VMSPort, &s.vms},
		"vault": {"--vault-port", o.VaultPort, &s.vault},
		"s3":    {"--s3-port", o.S3Port, &s.s3},
	}
	var listeners []net.Listener
	for _, h := range halves {
		at := ports[h.name]
		l, err := listen(ctx, at.flag, at.port)
		if err != nil {
			for _, open := range listeners {
				_ = open.Close()
			}
			return err
		}
		listeners = append(listeners, l)
		*at.address = "https://" + l.Addr().String()
	}
	for i, h := range halves {
		s.serve(listeners[i], s.wrap(h), certificate)
	}
	return s.writeFiles(caPEM, o.Binary)
}

// listen opens a port of loopback, and of nothing else.
func listen(ctx context.Context, flag string, port int) (net.Listener, error) {
	if port < 0 || port > 65535 {
		return nil, failure.New(failure.Usage, "%s %d is not a port", flag, port).WithHint("0 takes a free port")
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, failure.Wrap(failure.Network, err, "listen on port %d", port).
			WithHint("another program may have it: give %s another port, or 0 for a free one", flag).
			WithDetail("flag", flag)
	}
	return l, nil
}

// Dir is the directory of the sandbox, an absolute path.
func (s *Sandbox) Dir() string { return s.dir }

// VMS is the address of VMS, as https://127.0.0.1:PORT.
func (s *Sandbox) VMS() string { return s.vms }

// Vault is the address of Vault, in the same form.
func (s *Sandbox) Vault() string { return s.vault }

// S3 is the address of S3, in the same form.
func (s *Sandbox) S3() string { return s.s3 }

// CAFile is the path of the certificate that vouches for the three servers.
func (s *Sandbox) CAFile() string { return filepath.Join(s.dir, caFile) }

// Password is the password of alice, bob, carol, dora or admin; of anybody else it is empty.
func (s *Sandbox) Password(user string) secret.Text { return s.people.passwords[user] }

// Now is the time of the three servers.
func (s *Sandbox) Now() time.Time { return s.clock.Now() }

// Wait returns when the context given to Start ends or a server stops by
// itself, and then says why: nil for a context that ended.
func (s *Sandbox) Wait() error {
	select {
	case <-s.ctx.Done():
		return nil
	case <-s.closing:
		return nil
	case err := <-s.failed:
		return failure.Wrap(failure.Internal, err, "serve the sandbox")
	}
}

// stopIn is how long Close waits for answers that are under way.
const stopIn = 500 * time.Millisecond

// Close stops the servers and removes a temporary directory. It may be called
// more than once.
func (s *Sandbox) Close() error {
	s.once.Do(func() {
		close(s.closing)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), stopIn)
		defer cancel()
		var all sync.WaitGroup
		for _, server := range s.servers {
			all.Go(func() {
				if server.Shutdown(ctx) != nil {
					_ = server.Close() // a client holds on: cut it off
				}
			})
		}
		all.Wait()
		var errs []error
		for _, c := range []io.Closer{s.log, s.noise} {
			errs = append(errs, c.Close())
		}
		if s.lock != nil {
			errs = append(errs, s.lock.Release())
		}
		if s.temp {
			errs = append(errs, os.RemoveAll(s.dir))
		}
		if err := errors.Join(errs...); err != nil {
			s.closed = failure.Wrap(failure.Internal, err, "clean up the sandbox in %s", s.dir)
		}
	})
	return s.closed
}
