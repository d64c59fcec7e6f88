package observe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// ClockFile is the name of the file that moves a sandbox's clock.
const ClockFile = "clock"

// Clock is the clock of the sandbox in a directory: the machine's, moved by the
// offset that the file "clock" in it holds, such as "+25h", "-10m" or "+7d".
// The file is read anew each time, so a test can travel while everything runs.
// A Clock is safe for concurrent use.
type Clock struct{ Dir string }

// Now is the sandbox's time. An unreadable offset counts as none; [Clock.Offset] says why.
func (c Clock) Now() time.Time {
	offset, _ := c.Offset()
	return time.Now().Add(offset)
}

// Offset is what the clock file says; without a file it is zero. Anything but a
// signed duration is failure.Config.
func (c Clock) Offset() (time.Duration, error) {
	path := filepath.Join(c.Dir, ClockFile)
	text, err := os.ReadFile(path) // #nosec G304 -- a name fixed within the sandbox's own directory
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, failure.Wrap(failure.Config, err, "read the sandbox's clock")
	}
	offset, ok := parseOffset(strings.TrimSpace(string(text)))
	if !ok {
		return 0, failure.New(failure.Config, "%s does not hold a time offset", path).
			WithHint("write an offset such as +25h, -10m or +7d, or remove the file")
	}
	return offset, nil
}

// maxOffset keeps every time of interest within what a certificate, a token or
// a JSON date can say.
const maxOffset = 100 * 365 * 24 * time.Hour

func parseOffset(text string) (time.Duration, bool) {
	if text == "" {
		return 0, true // a file just being written
	}
	offset, err := time.ParseDuration(text)
	for unit, hours := range map[string]float64{"d": 24, "w": 7 * 24} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			var n float64
			n, err = strconv.ParseFloat(number, 64)
			if n *= hours; n > maxOffset.Hours() || n < -maxOffset.Hours() || n != n {
				return 0, false
			}
			offset = time.Duration(n * float64(time.Hour))
		}
	}
	if err != nil || offset > maxOffset || offset < -maxOffset {
		return 0, false
	}
	return offset, true
}
