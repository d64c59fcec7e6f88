package accesskey

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

// Journal is a directory with a file for each open entry, <id>.json, and a
// lock file beside it that the writing process holds as long as it lives. It
// belongs to one machine: homes may be shared, processes are not.
type Journal struct{ Dir string }

// maxEntry bounds what is read as an entry, in bytes.
const maxEntry = 64 << 10

// OpenEntry is an entry of our own process.
type OpenEntry struct {
	Entry
	dir  string
	held *durable.Held
}

// Open writes an entry and returns when it has reached the disk. The entry
// stays open, though the process dies, until [OpenEntry.Close].
func (j Journal) Open(ctx context.Context, e Entry) (*OpenEntry, error) {
	if err := durable.PrivateDir(j.Dir); err != nil {
		return nil, stateTrouble(err, "create", j.Dir)
	}
	o := &OpenEntry{Entry: e, dir: j.Dir}
	held, err := durable.Lock(ctx, o.path(".lock"))
	if err != nil {
		return nil, stateTrouble(err, "lock", o.path(".lock"))
	}
	o.held = held // taken first: an entry that nobody holds is a dead process's
	if err := o.write(); err != nil {
		o.discard()
		return nil, err
	}
	return o, nil
}

func (o *OpenEntry) path(ext string) string {
	return filepath.Join(o.dir, durable.SafeName(o.ID)+ext)
}

func (o *OpenEntry) write() error {
	raw, err := o.Encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(o.path(".json"), raw, 0o600); err != nil {
		return stateTrouble(err, "write", o.path(".json"))
	}
	return nil
}

// Update replaces what the entry says, to disk.
func (o *OpenEntry) Update(change func(*Entry)) error {
	change(&o.Entry)
	return o.write()
}

// Close says that nothing is left to do, and removes the entry.
func (o *OpenEntry) Close() error {
	err := durable.Remove(o.path(".json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.Leave()
		return stateTrouble(err, "remove", o.path(".json"))
	}
	o.discard()
	return nil
}

// settle ends a request that led to no stored key.
func (o *OpenEntry) settle(out Outcome) error {
	switch {
	case out.LeftOver != "" || out.Unknown:
		defer o.Leave()
		return o.insist(out.LeftOver)
	}
	return o.Close()
}

// insist makes sure that the entry is there, though somebody has removed it, and
// that it names the key that is left over, if that is known.
func (o *OpenEntry) insist(leftOver string) error {
	if _, err := os.Lstat(o.path(".json")); err == nil && (leftOver == "" || leftOver == o.AccessKey) {
		return nil
	}
	if err := durable.PrivateDir(o.dir); err != nil {
		return stateTrouble(err, "create", o.dir)
	}
	return o.Update(func(e *Entry) {
		if leftOver != "" {
			e.AccessKey = leftOver
		}
	})
}

// Leave gives the lock up and leaves the entry open, for whoever cleans up.
func (o *OpenEntry) Leave() { _ = o.held.Release() }

// Settle replaces an entry whose process is dead, and removes a closed one. One
// that is gone already is no error. failure.Conflict if its process lives.
func (j Journal) Settle(e Entry) error {
	o := &OpenEntry{Entry: e, dir: j.Dir}
	held, err := durable.TryLock(o.path(".lock"))
	if err != nil {
		return stateTrouble(err, "lock", o.path(".lock"))
	}
	if held == nil {
		return failure.New(failure.Conflict, "journal entry %s belongs to a valetkey that runs", e.ID)
	}
	o.held = held
	if _, err := os.Stat(o.path(".json")); errors.Is(err, fs.ErrNotExist) {
		o.discard()
		return nil
	}
	if e.Closed {
		return o.Close()
	}
	defer o.Leave()
	return o.write()
}

// discard removes the lock file as well. Whoever took hold of it in between
// finds no entry beside it.
func (o *OpenEntry) discard() {
	_ = o.held.Release()
	_ = os.Remove(o.path(".lock"))
}

// Entries returns the open entries, oldest first, with Alive set. One that
// cannot be read is an error that names its file: what it guards is unknown.
func (j Journal) Entries() ([]Entry, error) { return j.entries(func([]byte) bool { return false }) }

// EntriesOf returns the open entries of one identity. One that cannot be read, but
// says that it belongs to another, is none of its business.
func (j Journal) EntriesOf(id Identity) ([]Entry, error) {
	all, err := j.entries(func(raw []byte) bool {
		other, ok := identityOf(raw)
		return ok && other != id
	})
	return slices.DeleteFunc(all, func(e Entry) bool { return e.Identity != id }), err
}

// entries passes over what cannot be read if it may be ignored.
func (j Journal) entries(ignore func(raw []byte) bool) ([]Entry, error) {
	files, err := os.ReadDir(j.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, stateTrouble(err, "read", j.Dir)
	}
	var entries []Entry
	for _, f := range files { // by name, and an id starts with its time
		base, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			continue
		}
		e, err := j.read(base, ignore)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errIgnored) {
			continue // closed since the directory was read, or not for us
		}
		if err != nil {
			return nil, err
		}
		if !e.Closed {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

var errIgnored = errors.New("the entry of another identity")

func (j Journal) read(base string, ignore func(raw []byte) bool) (Entry, error) {
	path := filepath.Join(j.Dir, base+".json")
	// The lock comes first: an entry that changes hands while it is read would
	// otherwise look dead with old content.
	// It is shared, or two readers would each take the other for the writer.
	held, err := durable.TryShare(filepath.Join(j.Dir, base+".lock"))
	if err != nil {
		return Entry{}, stateTrouble(err, "lock", path)
	}
	if held != nil {
		defer func() { _ = held.Release() }()
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && held != nil {
		_ = os.Remove(held.Path()) // TryShare made it for an entry that has just gone
	}
	if err != nil {
		return Entry{}, stateTrouble(err, "read", path)
	}
	defer f.Close()
	if err := durable.CheckPrivateFile(f, false); err != nil {
		return Entry{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxEntry))
	if err != nil {
		return Entry{}, stateTrouble(err, "read", path)
	}
	e, err := DecodeEntry(raw)
	if err != nil && ignore(raw) {
		return Entry{}, errIgnored
	}
	if err != nil {
		return Entry{}, failure.Annotate(err, "journal entry %s", path)
	}
	e.Alive = held == nil
	return e, nil
}

// stateTrouble gives an error below the state directory its kind.
func stateTrouble(err error, verb, path string) error {
	var known *failure.Error
	switch {
	case errors.As(err, &known):
		return failure.Annotate(err, "state directory")
	case errors.Is(err, context.Canceled):
		return failure.Wrap(failure.Cancelled, err, "%s %s", verb, path)
	case errors.Is(err, context.DeadlineExceeded): // the command's: an entry's lock is nobody else's
		return failure.Wrap(failure.Network, err, "no time left to %s %s", verb, path)
	}
	return failure.Wrap(failure.Config, durable.Words(err), "state directory: %s %s", verb, path).
		WithHint(stateHint)
}

const stateHint = "VALETKEY_STATE_DIR names a directory that valetkey may write to"
