package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/terminal"
	"github.com/valetkey/valetkey/pkg/vault"
	"github.com/valetkey/valetkey/pkg/vms"
)

// app is one run of valetkey. It lives for one command line.
type app struct {
	proc Process
	env  map[string]string
	term *terminal.Terminal
	base context.Context

	set     *settings.Settings // from prepare on
	printer render.Printer
	global  settings.Global
	jq      string
	yes     bool

	errorsAsJSON bool
	takesTime    atomic.Int32 // what an interruption does not end: a child, and what must follow it
	helpErr      error        // --help could not be written

	vmsFlags  vmsFlags
	userFlags userFlags
	vmsAPI    *vms.Client       // connected once
	keysAtVMS accesskey.VMSKeys // connected once
	unasked   []string          // what was done beside the answer, to be told after it
	tokens    keystore.Store    // opened once
	fleet     *fleetDocument    // what machines share, looked at once
	loggedIn  []*vault.Client   // with tokens that this run got

	waiting   *budget
	told      int  // warnings of the settings that were shown
	silent    bool // standard error holds one line at most
	onlyLooks bool // nothing may be written, not even a lock
	done      []func()
	debug     *debugLog
	clock     func() time.Time
}

func newApp(ctx context.Context, p Process) *app {
	env := map[string]string{}
	for _, entry := range p.Env {
		if name, value, found := strings.Cut(entry, "="); found {
			env[name] = value
		}
	}
	style := terminal.Style{
		NoColor:    env["NO_COLOR"] != "",
		ForceColor: env["CLICOLOR_FORCE"] != "" && env["CLICOLOR_FORCE"] != "0",
		Dumb:       env["TERM"] == "dumb",
	}
	return &app{
		proc: p, env: env, base: ctx, clock: time.Now,
		term: terminal.New(p.Stdin, p.Stdout, p.Stderr, style),
	}
}

// addGlobalFlags adds what every command takes, also where it changes nothing,
// so that a script can pass the same flags everywhere.
func (a *app) addGlobalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.SortFlags = false
	settings.AddFlags(flags, "global")
	flags.StringVar(&a.jq, "jq", "", "filter the JSON answer with a jq `expression`")
	flags.BoolVarP(&a.yes, "yes", "y", false, "answer yes to questions about destroying something")
}

// prepare resolves what every command needs. It runs before the command itself.
func (a *app) prepare(cmd *cobra.Command) error {
	a.set = settings.New(settings.Input{Env: a.env, Flags: settings.FlagValues(cmd.Flags()), GOOS: runtime.GOOS})
	a.clock = a.set.Clock()
	global, err := a.set.Global()
	a.global = global // also with an error: the error is told as far as this goes
	a.term.Quiet, a.term.NoInput = global.Quiet.Bool(), global.NoInput.Bool()
	a.printer = render.Printer{
		Out: a.proc.Stdout, JQ: a.jq,
		IsTerminal: a.term.OutIsTerminal, Color: a.term.OutColor,
	}
	if global.Output.Set {
		a.printer.Format = render.Format(global.Output.Text())
	}
	a.errorsAsJSON = a.printer.Format == render.JSON
	if err != nil && cmd.Annotations[anyConfigAnnotation] == "" {
		return err
	}
	if err := a.checkFormat(cmd); err != nil {
		return err
	}
	if err := render.CheckJQ(a.jq); err != nil {
		return err
	}
	return a.openDebug(cmd)
}

// anyConfigAnnotation marks commands that work with a broken config file: they
// mend it, or have nothing to do with it.
const anyConfigAnnotation = "valetkey/any-config"

func annotate(cmd *cobra.Command, name, value string) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[name] = value
	return cmd
}

// formats a command knows besides table, json and yaml; see withFormats.
const formatsAnnotation = "valetkey/formats"

func withFormats(cmd *cobra.Command, formats ...string) *cobra.Command {
	return annotate(cmd, formatsAnnotation, strings.Join(formats, ","))
}

func (a *app) checkFormat(cmd *cobra.Command) error {
	known := []string{"table", "json", "yaml"}
	if own, found := cmd.Annotations[formatsAnnotation]; found {
		known = strings.Split(own, ",")
	}
	if a.jq != "" && !slices.Contains(known, "json") && cmd.Annotations[silentAnnotation] == "" {
		return failure.New(failure.Usage, "%s writes no JSON for --jq to filter", cmd.CommandPath())
	}
	format := string(a.printer.Format)
	if format == "" || slices.Contains(known, format) {
		return nil
	}
	if !strings.HasPrefix(a.global.Output.Source, "flag") {
		a.printer.Format = render.Auto // said once for all commands, and not of this one
		return nil
	}
	return failure.New(failure.Usage, "%s does not write %q", cmd.CommandPath(), format).
		WithHint("-o takes %s", strings.Join(known, ", "))
}

// wait returns the context of all network, keyring and lock waits of the
// command: bounded by --timeout, and standing still while a person is asked.
func (a *app) wait() context.Context {
	if a.waiting == nil {
		b, cancel := newBudget(a.base, a.global.Timeout.Duration())
		a.waiting = b
		a.term.Pause = b.pause
		a.done = append(a.done, cancel)
	}
	return a.waiting
}

// pauseWait stops the deadline of the command until what it returns is called.
func (a *app) pauseWait() (done func()) {
	if a.waiting == nil {
		return func() {}
	}
	return a.waiting.pause()
}

// left is how much of --timeout is left.
func (a *app) left() time.Duration {
	if a.waiting == nil {
		return a.global.Timeout.Duration()
	}
	return a.waiting.remaining()
}

// tellWarnings says what the settings looked up so far have to warn of.
func (a *app) tellWarnings() {
	if a.set == nil {
		return
	}
	all := a.set.Warnings()
	for _, w := range all[min(a.told, len(all)):] {
		a.term.Warn("%s", w)
	}
	a.told = len(all)
}

// report says on standard error why a command failed, and returns its exit code.
func (a *app) report(err error) int {
	late := a.waiting != nil && errors.Is(a.waiting.Err(), context.DeadlineExceeded)
	for i := len(a.done) - 1; i >= 0; i-- {
		a.done[i]()
	}
	if !a.silent || err == nil {
		a.tellWarnings()
	}
	if err == nil || isExit(err) {
		return failure.ExitCode(err)
	}
	kind, message, hint := failure.KindOf(err), terminal.Bounded(strings.ReplaceAll(err.Error(), "\n", "; ")), terminal.Bounded(failure.HintOf(err))
	code := kind.Exit()
	var own *exitAs
	if errors.As(err, &own) {
		code = own.code
	}
	if a.userFlags.suffix != "" && strings.Contains(hint, "valetkey keys ") {
		hint += "; with" + a.userFlags.suffix // the use-cases do not know about whose keys the line is
	}
	if kind == failure.Network && late && hint == "" {
		hint = fmt.Sprintf("the command may wait %s in all; --timeout gives it longer", a.global.Timeout.Text())
	}
	if a.wantsJSON() {
		a.term.Raw(jsonError(kind, message, hint, failure.DetailsOf(err)))
		return code
	}
	if a.silent {
		if hint != "" {
			message += " (" + hint + ")"
		}
		a.term.Fail("%s", message)
		return code
	}
	a.term.Fail("%s", message)
	if hint != "" {
		a.term.Hint("%s", hint)
	}
	return code
}

// wantsJSON finds -o json on the command line itself, since the error to report
// may be that the line cannot be parsed. The last -o counts, as in parsing.
func (a *app) wantsJSON() bool {
	if a.set != nil {
		return a.errorsAsJSON
	}
	format := a.env["VALETKEY_OUTPUT"]
	for i, arg := range a.proc.Args {
		if arg == "--" {
			break
		}
		match := outputFlag().FindStringSubmatch(arg)
		switch {
		case match == nil:
		case match[1]+match[2] != "":
			format = match[1] + match[2]
		case i+1 < len(a.proc.Args):
			format = a.proc.Args[i+1]
		}
	}
	return format == string(render.JSON)
}

// outputFlag matches --output and -o, also behind the switches -y and -h, with
// a value if the value is in the same word.
var outputFlag = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:--output(?:=(\w*))?|-[yh]*o=?(\w*))$`)
})

// jsonError is the one shape of a failure for programs. It is a promise.
func jsonError(kind failure.Kind, message, hint string, details map[string]any) string {
	type body struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Hint    string         `json:"hint"`
		Details map[string]any `json:"details"`
	}
	write := func(details map[string]any) (string, error) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		err := e.Encode(map[string]body{"error": {kind.String(), message, hint, details}})
		return strings.TrimSuffix(b.String(), "\n"), err
	}
	out, err := write(details)
	if err != nil {
		out, _ = write(map[string]any{}) // plain strings always encode
	}
	return out
}

// print writes the answer of a command.
func (a *app) print(answer render.Answer) error { return a.printer.Print(answer) }

// confirm asks before something is destroyed. --yes answers.
func (a *app) confirm(question string) error {
	if a.yes {
		return nil
	}
	ok, err := a.term.Confirm(a.base, question, "--yes answers the question")
	if err != nil {
		return err
	}
	if !ok {
		return failure.New(failure.Cancelled, "nothing was changed")
	}
	return nil
}
