package keystore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"filippo.io/age"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// FileOptions says where a file store lies and what opens it.
type FileOptions struct {
	// Dir holds the items, one file each. It is created with mode 0700 by the
	// first Put and must be writable by nobody else (failure.Config).
	Dir string
	// Identity is the path of an age identity file, readable by nobody else.
	// New items are encrypted to its first identity and old ones opened with
	// any, so an identity is replaced by putting another one above it.
	Identity string
	// Passphrase is asked, once a process, when Identity is empty.
	Passphrase func(context.Context) (secret.Text, error)
	// NewPassphrase is asked instead when the store has no item yet, so that a
	// person can be made to type it twice. It may be nil.
	NewPassphrase func(context.Context) (secret.Text, error)
	// Computing is called when the computation that a passphrase costs begins: a
	// second on a good machine, many on a slow one. What it returns is called at
	// the end. A deadline that bounds waiting can stand still meanwhile. It may be nil.
	Computing func() (done func())
}

// File is a store of age-encrypted files. Use [NewFile].
type File struct {
	o          FileOptions
	workFactor int // of scrypt, as a power of two; 0 is age's own

	mu     sync.Mutex // guards opened, and the passphrase being proven
	opened *keys

	knownMu sync.Mutex // guards known
	known   map[string]known
}

// known is what a file was seen to hold. To open the same bytes again with a
// passphrase would cost as much as the first time.
type known struct {
	sealed [sha256.Size]byte
	value  []byte
}

// keys is what opens and closes items.
type keys struct {
	identities []age.Identity
	recipient  age.Recipient
	proven     bool // the passphrase is known to be that of the store
}

// overhead is what age adds to a value at most, with a margin: a header with
// one stanza per recipient and 16 bytes a 64 KiB chunk.
const overhead = 8 << 10

// proofFile is encrypted with the passphrase of the store and tells a typing
// error before it closes an item with a passphrase that nobody knows.
const proofFile = "passphrase.age"

// NewFile returns a store of files. It does no I/O.
//
// Get with an identity file reads the identity once a process and the item
// once a call: no lock, no scan of the directory, no sync.
func NewFile(o FileOptions) *File { return &File{o: o} }

// Name implements Store.
func (s *File) Name() string { return "file" }

// Get implements Store.
func (s *File) Get(ctx context.Context, item string) ([]byte, error) {
	if err := begin(ctx, s.Name(), item); err != nil {
		return nil, err
	}
	if err := durable.CheckDir(s.o.Dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, notFound(s.Name(), item)
		}
		return nil, s.trouble(err, Denied, "read", s.o.Dir)
	}
	path := s.path(item)
	sealed, err := readPrivate(path, MaxSize+overhead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(s.Name(), item)
	}
	if err != nil {
		return nil, s.trouble(err, Denied, "read", path)
	}
	k, err := s.keys(ctx)
	if err != nil {
		return nil, err
	}
	return s.open(k, sealed, path)
}

// Put implements Store.
func (s *File) Put(ctx context.Context, item string, value []byte) error {
	if err := begin(ctx, s.Name(), item); err != nil {
		return err
	}
	if err := checkSize(s.Name(), item, value); err != nil {
		return err
	}
	if err := durable.PrivateDir(s.o.Dir); err != nil {
		return s.trouble(err, ReadOnly, "create", s.o.Dir)
	}
	k, err := s.keys(ctx)
	if err != nil {
		return err
	}
	if err := ended(ctx, s.Name()); err != nil {
		return err // whoever was asked for a passphrase may have taken their time
	}
	if err := s.prove(k, true); err != nil {
		return err
	}
	// From here on nobody is waited for: a machine that computes slowly writes,
	// though its deadline has passed.
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return ended(ctx, s.Name())
	}
	return s.write(k, s.path(item), value)
}

// Prepare asks for what opens the store, if it has to be asked for and was not
// yet, and tries it, so that neither is done while a lock is held.
func (s *File) Prepare(ctx context.Context) error {
	if err := late(ctx, s.Name()); err != nil {
		return err
	}
	k, err := s.keys(ctx)
	if err != nil {
		return err
	}
	return s.prove(k, false)
}

// Delete implements Store.
func (s *File) Delete(ctx context.Context, item string) error {
	if err := begin(ctx, s.Name(), item); err != nil {
		return err
	}
	path := s.path(item)
	err := durable.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return notFound(s.Name(), item)
	}
	if err != nil {
		return s.trouble(err, ReadOnly, "delete", path)
	}
	return nil
}

func (s *File) path(item string) string { return filepath.Join(s.o.Dir, durable.SafeName(item)+".age") }

func (s *File) write(k *keys, path string, value []byte) error {
	sealed, err := s.seal(k, value)
	if err != nil {
		return failure.Wrap(failure.Internal, err, "encrypt %s", path)
	}
	if err := durable.WriteFile(path, sealed, 0o600); err != nil {
		return s.trouble(err, ReadOnly, "write", path)
	}
	s.remember(path, sealed, value)
	return nil
}

func (s *File) seal(k *keys, value []byte) ([]byte, error) {
	defer s.computing()()
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, k.recipient)
	if err == nil {
		_, err = w.Write(value)
	}
	if err == nil {
		err = w.Close()
	}
	return sealed.Bytes(), err
}

func (s *File) unseal(k *keys, sealed []byte) ([]byte, error) {
	defer s.computing()()
	r, err := age.Decrypt(bytes.NewReader(sealed), k.identities...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// computing tells that a passphrase is being worked on, until what it returns is called.
func (s *File) computing() (done func()) {
	if s.o.Identity != "" || s.o.Computing == nil {
		return func() {}
	}
	return s.o.Computing()
}

// remember notes what a file holds, where opening it again would take long.
func (s *File) remember(path string, sealed, value []byte) {
	if s.o.Identity != "" {
		return
	}
	s.knownMu.Lock()
	defer s.knownMu.Unlock()
	if s.known == nil {
		s.known = map[string]known{}
	}
	s.known[path] = known{sha256.Sum256(sealed), bytes.Clone(value)}
}

// recall returns what the very same bytes were seen to hold.
func (s *File) recall(path string, sealed []byte) ([]byte, bool) {
	s.knownMu.Lock()
	defer s.knownMu.Unlock()
	k, ok := s.known[path]
	if !ok || k.sealed != sha256.Sum256(sealed) {
		return nil, false
	}
	return append([]byte{}, k.value...), true
}

func (s *File) open(k *keys, sealed []byte, path string) ([]byte, error) {
	if value, ok := s.recall(path, sealed); ok {
		return value, nil
	}
	value, err := s.unseal(k, sealed)
	if err == nil {
		s.remember(path, sealed, value)
		return value, nil
	}
	var wrong *age.NoIdentityMatchError
	if !errors.As(err, &wrong) {
		return nil, Unusable(s.Name(), Damaged, err, "file store: %s is damaged", path).
			WithHint("restore it from a backup, or delete it")
	}
	if s.o.Identity == "" {
		return nil, Unusable(s.Name(), Denied, nil, "file store: wrong passphrase for %s", path).
			WithHint("try again; set VALETKEY_STORE_IDENTITY if it was encrypted to an identity file")
	}
	return nil, Unusable(s.Name(), Denied, nil, "file store: %s was not encrypted to the identity in %s", path, s.o.Identity).
		WithHint("set VALETKEY_STORE_IDENTITY to the identity file that was used, or unset it if it was a passphrase")
}

// prove makes sure that the passphrase is the one of the store. If the store has
// none yet, found makes it so.
func (s *File) prove(k *keys, found bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.proven {
		return nil
	}
	path := filepath.Join(s.o.Dir, proofFile)
	sealed, err := readPrivate(path, overhead)
	switch {
	case err == nil:
		_, err = s.open(k, sealed, path)
	case !errors.Is(err, fs.ErrNotExist):
		err = s.trouble(err, Denied, "read", path)
	case !found:
		return nil
	default:
		err = s.write(k, path, nil)
	}
	k.proven = err == nil
	return err
}

// keys returns what opens the store, asking for it at most once a process.
func (s *File) keys(ctx context.Context) (*keys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened != nil {
		return s.opened, nil
	}
	load := s.identity
	if s.o.Identity == "" {
		load = s.passphrase
	}
	k, err := load(ctx)
	if err != nil {
		return nil, err
	}
	s.opened = k
	return k, nil
}

func (s *File) identity(context.Context) (*keys, error) {
	path := s.o.Identity
	raw, err := readPrivate(path, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Unusable(s.Name(), Absent, err, "file store: the identity file named by VALETKEY_STORE_IDENTITY is missing").
			WithHint("age-keygen -o %s makes one; or unset VALETKEY_STORE_IDENTITY to use a passphrase", path)
	}
	if err != nil {
		return nil, failure.Annotate(s.trouble(err, Denied, "read", path), "identity file of VALETKEY_STORE_IDENTITY")
	}
	defer clear(raw)
	ids, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil {
		// The parser quotes what it could not read, which may be a secret.
		return nil, failure.New(failure.Config, "%s, named by VALETKEY_STORE_IDENTITY, is not an age identity file", path).
			WithHint("it must hold lines that start with AGE-SECRET-KEY-, as age-keygen writes them")
	}
	k := &keys{identities: ids, proven: true}
	switch id := ids[0].(type) {
	case *age.X25519Identity:
		k.recipient = id.Recipient()
	case *age.HybridIdentity:
		k.recipient = id.Recipient()
	default:
		return nil, failure.New(failure.Config, "%s, named by VALETKEY_STORE_IDENTITY, holds an identity of an unknown kind", path)
	}
	return k, nil
}

func (s *File) passphrase(ctx context.Context) (*keys, error) {
	ask := s.o.Passphrase
	if s.o.NewPassphrase != nil {
		if _, err := os.Stat(filepath.Join(s.o.Dir, proofFile)); errors.Is(err, fs.ErrNotExist) {
			ask = s.o.NewPassphrase
		}
	}
	if ask == nil {
		return nil, Unusable(s.Name(), Locked, nil, "file store: no identity file and nobody to ask for a passphrase").
			WithHint("set VALETKEY_STORE_IDENTITY to an age identity file")
	}
	phrase, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	if phrase.IsEmpty() {
		return nil, failure.New(failure.Usage, "file store: the passphrase is empty")
	}
	recipient, err := age.NewScryptRecipient(phrase.Reveal())
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "file store: use passphrase")
	}
	if s.workFactor != 0 {
		recipient.SetWorkFactor(s.workFactor)
	}
	id, err := age.NewScryptIdentity(phrase.Reveal())
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "file store: use passphrase")
	}
	return &keys{identities: []age.Identity{id}, recipient: recipient}, nil
}

// readPrivate reads a file of at most limit bytes that must be private, and
// checks the very file that it reads.
func readPrivate(path string, limit int64) ([]byte, error) {
	// Opening a pipe that nobody writes to never ends.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, failure.New(failure.Config, "%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := durable.CheckPrivateFile(f, true); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = failure.New(failure.Store, "%s is larger than %d bytes", path, limit)
	}
	return raw, err
}
