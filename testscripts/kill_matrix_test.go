//go:build unix

package testscripts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// play is a command that is killed, and what was there before.
type play struct {
	name    string
	prepare func(*stage)
	line    []string
	env     func(*stage) []string // of this line alone; nil is none
}

var plays = []play{
	{"create, nothing stored", nothing, []string{"keys", "create"}, nil},
	{"create, beside another key", created, []string{"keys", "create"}, nil},
	{"create, beside a foreign key", foreign, []string{"keys", "create"}, nil},
	{"credential-process, cold", nothing, []string{"credential-process"}, nil},
	{"credential-process, an orphan", orphaned, []string{"credential-process"}, nil},
	{"rotate", created, []string{"keys", "rotate"}, nil},
	{"rotate, an old key is due", due, []string{"keys", "rotate"}, nil},
	{"rotate --now, one is retiring", retiring, []string{"keys", "rotate", "--now", "--yes"}, nil},
	{"rotate --undo", retiring, []string{"keys", "rotate", "--undo"}, nil},
	{"reap, an old key is due", due, []string{"keys", "reap", "--yes"}, nil},
	{"reap, an orphan", orphaned, []string{"keys", "reap", "--yes"}, nil},
	{"exec --ephemeral", created, []string{"exec", "--ephemeral", "--", "true"}, nil},
	{"credential-process, too old a key", aged, []string{"credential-process"}, maxAge},
	{"administrator creates", nothing, []string{"keys", "create", "--user", "alice"}, administrator},
	{"administrator rotates", created, []string{"keys", "rotate", "--user", "alice"}, administrator},
}

func nothing(*stage)    {}
func created(s *stage)  { s.run("keys", "create") }
func retiring(s *stage) { created(s); s.run("keys", "rotate") }
func due(s *stage)      { retiring(s); s.advance(25 * time.Hour) }
func aged(s *stage)     { created(s); s.advance(49 * time.Hour) }

func maxAge(*stage) []string { return []string{"VALETKEY_KEYS_MAX_AGE=48h"} }

func administrator(s *stage) []string {
	return []string{"VALETKEY_VMS_USERNAME=admin", "VALETKEY_VMS_PASSWORD=" + s.value("VALETKEY_SANDBOX_PASSWORD_ADMIN")}
}

func foreign(s *stage) {
	there := s.with("VALETKEY_STORE=file", "VALETKEY_STORE_DIR="+filepath.Join(s.place, "there"), "VALETKEY_STATE_DIR="+filepath.Join(s.place, "theirs"))
	there.run("keys", "create")
	s.foreign = s.keys()
}

// orphaned loses the answer to a request for a key.
func orphaned(s *stage) {
	isPost := func(_ int, what string) bool { return what == "POST s3keys/" }
	s.gate.watch(trap{isPost, onceDone, func() {}})
	if err := s.command(context.Background(), "keys", "create").Run(); err == nil {
		s.t.Fatal("a key was made of a lost answer")
	}
}

// stage is a sandbox behind a gate, for one play after another.
type stage struct {
	killed
	gate    *gate
	root    string
	place   string // of the store and the state of this play
	n       int
	offset  time.Duration
	foreign []string
	current string // the key that was handed out before the kill, if any
	had     []string
}

// set brings the stage to where a play begins.
func (s *stage) set(p play) {
	s.t.Helper()
	s.gate.watch(trap{})
	if s.n > 0 {
		s.clear()
	}
	s.n++
	s.place, s.foreign, s.current = filepath.Join(s.root, fmt.Sprint(s.n)), nil, ""
	s.killed = s.with("VALETKEY_STORE_DIR="+filepath.Join(s.place, "store"), "VALETKEY_STATE_DIR="+filepath.Join(s.place, "state"))
	p.prepare(s)
	s.had = nil
	for _, k := range s.list() {
		s.had = append(s.had, k.AccessKey)
		if k.Stored && k.State == "active" {
			s.current = k.AccessKey
		}
	}
}

// value is that of a variable.
func (s *stage) value(name string) (value string) {
	for _, e := range s.env {
		if v, found := strings.CutPrefix(e, name+"="); found {
			value = v
		}
	}
	return value
}

// acting is the stage to the process that plays.
func (s *stage) acting(p play) killed {
	if p.env == nil {
		return s.killed
	}
	return s.with(p.env(s)...)
}

// open are the entries of the journal.
func (s *stage) open() []string {
	entries, _ := filepath.Glob(filepath.Join(s.state, "machines", "*", "journal", "*.json"))
	return entries
}

// advance moves the clock of all, from play to play.
func (s *stage) advance(by time.Duration) {
	s.t.Helper()
	s.offset += by
	if err := os.WriteFile(filepath.Join(s.dir, "clock"), []byte("+"+s.offset.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

type listed struct {
	AccessKey string `json:"access_key"`
	State     string
	Stored    bool
}

func (s *stage) list() (keys []listed) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.run("keys", "list", "-o", "json")), &keys); err != nil {
		s.t.Fatal(err)
	}
	return keys
}

// picture says which keys there are, by what they were before.
func (s *stage) picture() string {
	s.t.Helper()
	var parts []string
	for _, k := range s.list() {
		name := "new"
		switch {
		case slices.Contains(s.foreign, k.AccessKey):
			parts = append(parts, "foreign")
			continue
		case k.AccessKey == s.current:
			name = "current"
		case slices.Contains(s.had, k.AccessKey):
			name = "other"
		}
		parts = append(parts, name+" "+k.State)
	}
	sort.Strings(parts)
	return strings.Join(parts, " + ")
}

// score is what a play does when nobody dies, and how it looks after a reaping:
// undone, if it was not done at all.
type score struct {
	play
	calls         []call
	start, end    time.Time
	whole, undone string
}

func (s *stage) rehearse(p play) score {
	s.t.Helper()
	c := score{play: p}
	s.set(p)
	s.gate.watch(trap{})
	c.start = time.Now()
	s.acting(p).run(p.line...)
	c.end, c.calls = time.Now(), s.gate.seen()
	s.run("keys", "reap", "--yes")
	c.whole = s.picture()
	s.set(p)
	s.run("keys", "reap", "--yes")
	c.undone = s.picture()
	return c
}

// cell is one place of the table: a step of a play, and a moment of that step.
type cell struct {
	score score
	step  int // of the calls; -1 is before the first
	when  moment
}

func (c cell) String() string {
	if c.step < 0 {
		return c.score.name + "\t0\tbefore any request\t"
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s", c.score.name, c.step+1, c.score.calls[c.step].what, c.when)
}

func (c score) cells() []cell {
	cells := []cell{{c, -1, ""}}
	for i := range c.calls {
		for _, when := range []moment{onArrival, onceDone, answered} {
			cells = append(cells, cell{c, i, when})
		}
	}
	return cells
}

// gap is how long the process worked on its own after a call, when nobody died.
func (c score) gap(step int) time.Duration {
	from, to := c.start, c.end
	if step >= 0 {
		from = c.calls[step].left
	}
	if step+1 < len(c.calls) {
		to = c.calls[step+1].came
	}
	return max(to.Sub(from), time.Millisecond)
}

const endedFirst = "ended before"

// kill plays a cell, looks at what is left, and returns the outcome.
func (s *stage) kill(c cell, random *rand.Rand) string {
	s.t.Helper()
	s.set(c.score.play)
	before := s.posts()
	over := s.strike(c, random)
	s.settle(before)
	if over {
		return endedFirst
	}
	what := strings.ReplaceAll(c.String(), "\t", ", ")
	if s.current != "" {
		posts := s.posts()
		if id := s.handedOut(); !slices.Contains(s.keys(), id) {
			s.t.Errorf("%s: %s is handed out, and VMS does not have it", what, id)
		}
		if s.posts() != posts {
			s.t.Errorf("%s: a key was at hand, and another was asked for", what)
		}
	}
	var reaped []struct{ Reason string }
	if err := json.Unmarshal([]byte(s.run("keys", "reap", "--yes", "-o", "json")), &reaped); err != nil {
		s.t.Fatal(err)
	}
	outcome := ""
	for _, r := range reaped {
		if strings.HasPrefix(r.Reason, "made by the request") {
			outcome = "orphan deleted, "
		}
		if strings.HasSuffix(r.Reason, "ended without deleting it") {
			outcome = "lent key deleted, "
		}
	}
	there := 0
	for _, k := range s.list() {
		if slices.Contains(s.foreign, k.AccessKey) {
			there++
		} else if !k.Stored {
			s.t.Errorf("%s: after reaping %s is stored nowhere", what, k.AccessKey)
		}
	}
	if there != len(s.foreign) {
		s.t.Errorf("%s: %d of %d foreign keys are left", what, there, len(s.foreign))
	}
	if len(s.open()) != 0 { // a request that may still arrive keeps its entry open
		s.advance(time.Minute)
		s.run("keys", "reap", "--yes")
	}
	if open := s.open(); len(open) != 0 {
		s.t.Errorf("%s: after reaping entries are open: %v", what, open)
	}
	switch now := s.picture(); now {
	case c.score.whole:
		outcome += "as if done"
	case c.score.undone:
		outcome += "as before"
	default:
		outcome += "half done: " + now
	}
	if id := s.handedOut(); !slices.Contains(s.keys(), id) {
		s.t.Errorf("%s: in the end %s is handed out, and VMS does not have it", what, id)
	}
	return outcome
}

// settle waits for VMS to have logged what the dead process asked it for at last,
// so that nobody else is taken to have done it. What died on the way is not logged.
func (s *stage) settle(before int) {
	s.t.Helper()
	asked := 0
	for _, call := range s.gate.seen() {
		if strings.HasPrefix(call.what, "POST ") && !strings.HasPrefix(call.what, "POST token") {
			asked++
		}
	}
	for end := time.Now().Add(time.Second); s.posts() < before+asked && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

// strike starts the command and kills it in the cell. It tells whether the
// process was over before that.
func (s *stage) strike(c cell, random *rand.Rand) (over bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := s.acting(c.score.play).command(ctx, c.score.line...)
	cmd.Stdout = &strings.Builder{} // a pipe, which is open until a command it runs has ended, too
	started, ended := make(chan struct{}), make(chan struct{})
	kill := func() {
		<-started
		_ = cmd.Process.Kill()
		<-ended
	}
	pause := time.Duration(random.Int64N(int64(c.score.gap(c.step))))
	late := func() { time.Sleep(pause); kill() }
	switch {
	case c.step < 0:
		s.gate.watch(trap{})
		go late()
	case c.when == answered:
		s.gate.watch(trap{c.here, c.when, late})
	default:
		s.gate.watch(trap{c.here, c.when, kill})
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	close(started)
	err := cmd.Wait()
	close(ended)
	if ctx.Err() != nil {
		s.t.Fatalf("%s: the process hangs", c)
	}
	var exit *exec.ExitError
	return err == nil || errors.As(err, &exit) && exit.Exited()
}

func (c cell) here(n int, _ string) bool { return n == c.step }

// handedOut is the key that an SDK would get.
func (s *stage) handedOut() string {
	s.t.Helper()
	var document struct{ AccessKeyId string } //nolint:revive // as AWS has it
	if err := json.Unmarshal([]byte(s.run("credential-process")), &document); err != nil {
		s.t.Fatal(err)
	}
	return document.AccessKeyId
}

// Processes are killed at every step that a server sees, and between these
// steps. After each the user has a working key if there was one; after a reaping
// every key is stored or foreign, and nothing is open. A few plays are drawn
// when few are to be killed.
func TestKillMatrix(t *testing.T) {
	t.Parallel()
	kills := number(t, "VALETKEY_TEST_KILLS", 16)
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			sandbox, v := inSandbox(t, store)
			g := newGate(t, sandbox)
			s := &stage{killed: v.with(g.env()...), gate: g, root: t.TempDir()}
			defer func() { g.watch(trap{}); s.clear() }()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // which moment is no secret
			drawn := random.Perm(len(plays))[:min(len(plays), (kills+7)/8)]
			sort.Ints(drawn)
			var cells []cell
			for _, i := range drawn {
				cells = append(cells, s.rehearse(plays[i]).cells()...)
			}
			table := matrix{counts: map[string]map[string]int{}}
			for died, tried := 0, 0; died < kills && !t.Failed(); tried++ {
				if tried%len(cells) == 0 && tried+len(cells) > kills {
					random.Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
				}
				c := cells[tried%len(cells)]
				outcome := s.kill(c, random)
				table.add(c.String(), outcome)
				if outcome != endedFirst {
					died++
				} else if tried > 5*kills {
					t.Errorf("only %d of %d processes were killed", died, kills)
					break
				}
			}
			report(t, "kill-matrix-"+store, table.String())
		})
	}
}

// matrix counts outcomes a step.
type matrix struct {
	rows   []string
	counts map[string]map[string]int
}

func (m *matrix) add(row, outcome string) {
	if m.counts[row] == nil {
		m.counts[row] = map[string]int{}
		m.rows = append(m.rows, row)
	}
	m.counts[row][outcome]++
}

func (m *matrix) String() string {
	total, all := map[string]int{}, 0
	for _, row := range m.counts {
		for outcome, n := range row {
			total[outcome] += n
			if outcome != endedFirst {
				all += n
			}
		}
	}
	var outcomes []string
	for outcome := range total {
		outcomes = append(outcomes, outcome)
	}
	sort.Slice(outcomes, func(i, j int) bool { return total[outcomes[i]] > total[outcomes[j]] })
	sort.SliceStable(m.rows, func(i, j int) bool { return order(m.rows[i]) < order(m.rows[j]) })
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "play\tstep\trequest\tkilled when\t%s\n", strings.Join(outcomes, "\t"))
	for _, row := range append(m.rows, "") {
		counts := m.counts[row]
		if row == "" {
			row, counts = fmt.Sprintf("%d killed\t\t\t", all), total
		}
		fmt.Fprint(w, row)
		for _, outcome := range outcomes {
			cell := "."
			if n := counts[outcome]; n > 0 {
				cell = fmt.Sprint(n)
			}
			fmt.Fprint(w, "\t", cell)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	return text.String()
}

// order sorts rows as the plays and their steps are.
func order(row string) string {
	fields := strings.Split(row, "\t")
	play := slices.IndexFunc(plays, func(p play) bool { return p.name == fields[0] })
	when := slices.Index([]moment{"", onArrival, onceDone, answered}, moment(fields[3]))
	return fmt.Sprintf("%02d %2s %d", play, fields[1], when)
}
