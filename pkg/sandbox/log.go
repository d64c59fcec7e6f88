package sandbox

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/valetkey/valetkey/pkg/failure"
)

// timeFormat is RFC 3339 with milliseconds, of equal width on every line.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// entry is one line of the request log: one request, when its answer was sent
// or its connection lost. It never holds a query, a header, a body or a secret.
type entry struct {
	Time   string `json:"time"`   // by the sandbox's clock
	Server string `json:"server"` // vms, vault or s3
	Method string `json:"method"`
	Path   string `json:"path"`   // as sent, access keys masked
	Status int    `json:"status"` // 0: the connection was lost
	User   string `json:"user"`   // empty: nobody was identified
}

// requestLog writes each entry whole and unbuffered, so that a reader finds a
// request as soon as it has its answer. A file that cannot be written ends with
// the last whole line, since a log with gaps would be believed; lost is told.
type requestLog struct {
	mu    sync.Mutex
	files []*os.File
	lost  func(error) // may be nil
}

// openLog starts the log at path, and appends a copy to extra if that is set.
func openLog(path, extra string, lost func(error)) (*requestLog, error) {
	l := &requestLog{lost: lost}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600) // #nosec G304 -- in the sandbox's directory
	if err != nil {
		return nil, failure.Wrap(failure.Config, err, "open the request log")
	}
	l.files = append(l.files, f)
	if extra == "" {
		return l, nil
	}
	f, err = os.OpenFile(extra, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) // #nosec G304 -- the person names it
	if err != nil {
		_ = l.Close()
		return nil, failure.Wrap(failure.Usage, err, "--log %s", extra)
	}
	l.files = append(l.files, f)
	return l, nil
}

func (l *requestLog) write(e entry) {
	line, err := json.Marshal(e)
	if err != nil {
		return // five strings and a number always marshal
	}
	line = append(line, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files = slices.DeleteFunc(l.files, func(f *os.File) bool {
		n, err := f.Write(line)
		if err == nil {
			return false
		}
		// A full disk must not stop the servers.
		if info, e := f.Stat(); e == nil && n > 0 {
			_ = f.Truncate(info.Size() - int64(n))
		}
		_ = f.Close()
		if l.lost != nil {
			l.lost(failure.Wrap(failure.Internal, err, "the request log %s ends here", f.Name()))
		}
		return true
	})
}

// Close closes the files; what is written later is dropped.
func (l *requestLog) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.Close())
	}
	l.files = nil
	return errors.Join(errs...)
}

// noise takes what net/http has to complain about. The file is made with the
// first line and never grows past maxNoise.
type noise struct {
	mu   sync.Mutex
	path string
	file *os.File
	size int
	shut bool
}

const maxNoise = 1 << 20

func (n *noise) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shut || n.size+len(p) > maxNoise {
		return len(p), nil
	}
	if n.file == nil {
		f, err := os.OpenFile(n.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			n.shut = true
			return len(p), nil
		}
		n.file = f
	}
	n.size += len(p)
	return n.file.Write(p)
}

// Close closes the file if there is one.
func (n *noise) Close() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shut = true
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}
