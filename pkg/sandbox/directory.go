package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"filippo.io/age"

	"github.com/valetkey/valetkey/pkg/awsconfig"
	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox/observe"
)

// What lies in the directory.
const (
	caFile       = "ca.pem"
	logFile      = "requests.jsonl"
	noiseFile    = "servers.log" // TLS handshakes that failed, and panics
	identityFile = "identity.txt"
	lockFile     = "sandbox.lock"
	awsDir       = "aws"
	configDir    = "config"
	stateDir     = "state"
	storeDir     = "store"

	configFile      = "config.yaml"
	awsConfigFile   = "config"
	awsSharedSecret = "credentials" // #nosec G101 -- the name of an empty file
)

// region is what requests are signed for.
const region = "us-east-1"

// ours are the entries that an earlier sandbox may have left.
var ours = []string{
	caFile, logFile, noiseFile, identityFile, lockFile, observe.ClockFile, awsDir, configDir, stateDir, storeDir,
}

// settle makes the directory, empty but for its lock.
func (s *Sandbox) settle(dir string) error {
	if dir == "" {
		temp, err := os.MkdirTemp("", "valetkey-dev-*")
		if err != nil {
			return failure.Wrap(failure.Config, err, "make a temporary directory for the sandbox").
				WithHint("give one with --dir")
		}
		s.temp = true
		// Some systems reach their temporary directory through a link, which
		// checks of who owns what need not have to follow.
		if s.dir, err = filepath.EvalSymlinks(temp); err != nil {
			s.dir = temp
		}
		return s.makeDirs()
	}
	if strings.ContainsFunc(dir, unicode.IsControl) {
		return failure.New(failure.Usage, "--dir %q holds a control character", dir).
			WithHint("settings that name files in it could not be read")
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return failure.Wrap(failure.Usage, err, "--dir %s", dir)
	}
	if err := durable.PrivateDir(absolute); err != nil {
		if failure.KindOf(err) == failure.Internal {
			err = failure.Wrap(failure.Usage, err, "--dir %s", dir)
		}
		return err
	}
	if err := checkOurs(absolute); err != nil {
		return err
	}
	s.lock, err = durable.TryLock(filepath.Join(absolute, lockFile))
	switch {
	case err != nil:
		return failure.Wrap(failure.Usage, err, "lock --dir %s", dir)
	case s.lock == nil:
		return failure.New(failure.Conflict, "--dir %s: another sandbox is using it", dir).
			WithHint("give each sandbox a directory of its own")
	}
	s.dir = absolute
	for _, name := range ours {
		if name == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(absolute, name)); err != nil {
			return failure.Wrap(failure.Usage, err, "empty --dir %s", dir)
		}
	}
	return s.makeDirs()
}

// checkOurs refuses a directory in which somebody keeps something else: what
// an earlier sandbox left is about to be removed.
func checkOurs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return failure.Wrap(failure.Usage, err, "--dir %s", dir)
	}
	marked := len(entries) == 0
	for _, e := range entries {
		marked = marked || e.Name() == lockFile
		if !slices.Contains(ours, e.Name()) {
			marked = false
			break
		}
	}
	if !marked {
		return failure.New(failure.Usage, "--dir %s is not empty and not a sandbox's", dir).
			WithHint("name a new directory: the sandbox empties the one it is given")
	}
	return nil
}

func (s *Sandbox) makeDirs() error {
	for _, name := range []string{awsDir, configDir, stateDir, storeDir} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			return failure.Wrap(failure.Config, err, "set up the sandbox's directory")
		}
	}
	return nil
}

// writeFiles writes what clients need. Nobody reads the directory before Start
// returns, so plain writes will do.
func (s *Sandbox) writeFiles(caPEM []byte, binary string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return failure.Wrap(failure.Internal, err, "make an identity for the sandbox's store")
	}
	aws, err := awsConfig(binary)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		caFile: caPEM,
		identityFile: fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n",
			time.Now().UTC().Format(time.RFC3339), identity.Recipient(), identity),
		filepath.Join(awsDir, awsConfigFile):   aws,
		filepath.Join(awsDir, awsSharedSecret): nil,
		filepath.Join(configDir, configFile):   []byte("# The settings of this sandbox come from the environment.\nprofiles: {}\n"),
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
			return failure.Wrap(failure.Config, err, "set up the sandbox's directory")
		}
	}
	return nil
}

// awsConfig is the config file of AWS tools: its default profile asks valetkey
// for credentials.
func awsConfig(binary string) ([]byte, error) {
	entries := []awsconfig.Entry{{Name: "region", Value: region}}
	if binary != "" {
		if !filepath.IsAbs(binary) {
			return nil, failure.New(failure.Internal, "the path of valetkey is not absolute: %s", binary)
		}
		line, err := awsconfig.CommandLine(binary, "credential-process")
		if err != nil {
			return nil, err
		}
		entries = append(entries, awsconfig.Entry{Name: "credential_process", Value: line})
	}
	return awsconfig.Edit(nil, awsconfig.Section("default"), entries), nil
}
