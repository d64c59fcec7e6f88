package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/terminal"
)

// debugLog takes the trace lines of the clients. They hold methods, paths,
// statuses and times, never a header or a body.
type debugLog struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
}

// openDebug opens where --debug goes: standard error, or the file of
// VALETKEY_DEBUG_FILE. Commands whose standard error other programs repeat in
// their own errors write to the file alone.
func (a *app) openDebug(cmd *cobra.Command) error {
	if !a.global.Debug.Bool() {
		return nil
	}
	if path := a.global.DebugFile.Text(); path != "" {
		if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
			return failure.New(failure.Config, "the debug file of VALETKEY_DEBUG_FILE is a pipe, which may have no reader")
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the person names the file
		if err != nil {
			return failure.Wrap(failure.Config, err, "open the debug file of VALETKEY_DEBUG_FILE")
		}
		a.done = append(a.done, func() { _ = f.Close() })
		a.debug = &debugLog{out: f, now: time.Now}
		return nil
	}
	if !a.silent {
		a.debug = &debugLog{out: a.proc.Stderr, now: time.Now}
	}
	return nil
}

// silentAnnotation marks commands whose standard error holds one line at most.
const silentAnnotation = "valetkey/silent"

func (a *app) trace(format string, args ...any) {
	if a.debug == nil {
		return
	}
	a.debug.mu.Lock()
	defer a.debug.mu.Unlock()
	_, _ = fmt.Fprintf(a.debug.out, "valetkey: debug: %s %s\n",
		a.debug.now().UTC().Format("15:04:05.000"), terminal.Visible(fmt.Sprintf(format, args...))) // nobody is left to tell
}
