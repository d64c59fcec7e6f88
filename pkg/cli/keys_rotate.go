package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
)

type rotateFlags struct {
	now, undo, dryRun bool
	replace, wait     string
}

func (a *app) keysRotate() *cobra.Command {
	var f rotateFlags
	cmd := a.addUserFlags(a.addKeysFlags(&cobra.Command{
		Use:   "rotate",
		Short: "Replace the access key that is handed out",
		Long: `Issue a new access key, store it, prove it by a signed call to s3.endpoint (without one, by the
list of keys), and hand it out in place of the old one. The old key works on for keys.grace,
and never less long than it was handed out for, so nobody who holds it sees a failed request;
valetkey keys reap, or the next rotation, then deletes it.

A new key that does not work is deleted again, and the old one stays. A rotation that was
killed is gone on with by the next one. Of several at once one issues a key, and all end with
that.

--now and --replace delete a key that may be in use: they ask first, and --yes answers.

A user has two slots. While the old key retires, or another machine holds the other slot,
there is no room: the exit code is 8, and the message says when a slot becomes free.`,
		Example: `  valetkey keys rotate
  valetkey keys rotate --undo                   the old key is handed out again
  valetkey keys rotate --now                    the old key may have leaked: delete it at once
  valetkey keys rotate --replace 4XACULB2SLCZ80ZQPVMX
  valetkey keys rotate --wait 24h               until there is room`,
	}))
	cmd.RunE = func(*cobra.Command, []string) error {
		if f.replace == "" && cmd.Flags().Changed("replace") { // an unset variable, most likely
			return failure.New(failure.Usage, "--replace is empty").WithHint("valetkey keys list shows the keys there are")
		}
		return a.runKeysRotate(f)
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.now, "now", false, "delete the old key at once, and one that still retires before")
	flags.BoolVar(&f.undo, "undo", false, "within the grace: swap the roles of the two keys")
	flags.StringVar(&f.replace, "replace", "", "give up this `access key` first, so that there is room")
	flags.StringVar(&f.wait, "wait", "", "wait up to this `duration` for room")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, change nothing")
	settings.AddFlags(flags, settings.GroupS3)
	return cmd
}

// rotation is the frozen JSON shape.
type rotation struct {
	New         accesskey.Key  `json:"new"`
	Old         *accesskey.Key `json:"old"`
	DeleteAfter string         `json:"delete_after,omitempty"`
}

func (a *app) runKeysRotate(f rotateFlags) error {
	o := accesskey.RotateOptions{Now: f.now, Undo: f.undo, Replace: f.replace}
	if f.wait != "" {
		var err error
		if o.Wait, err = settings.ParseDuration(f.wait); err != nil {
			return failure.Wrap(failure.Usage, err, "read --wait")
		}
	}
	k, err := a.accessKeys(keepingStores)
	if err != nil {
		return err
	}
	if f.dryRun {
		return a.dryKeysRotate(k, o)
	}
	o.Confirm = func(doomed []string) error {
		return a.confirm(fmt.Sprintf("Delete access key %s of %s? What still uses it stops working.", strings.Join(doomed, " and "), k.identity))
	}
	r, err := k.service.Rotate(a.wait(), o)
	if err != nil {
		return err
	}
	answer := rotation{New: r.New, Old: r.Old}
	rows := [][]string{{"new", r.New.AccessKey, string(r.New.State), ""}}
	if r.Old != nil {
		state := "deleted"
		if !r.DeleteAfter.IsZero() {
			state, answer.DeleteAfter = string(r.Old.State), r.DeleteAfter.UTC().Format(time.RFC3339)
			a.term.Note("%s is handed out from now on; %s works until %s, and --undo brings it back", r.New.AccessKey, r.Old.AccessKey, answer.DeleteAfter)
		}
		rows = append(rows, []string{"old", r.Old.AccessKey, state, answer.DeleteAfter})
	}
	return a.print(render.Answer{Value: answer, Header: []string{"KEY", "ACCESS_KEY", "STATE", "DELETE_AFTER"}, Rows: rows})
}

// dryKeysRotate looks, and changes nothing.
func (a *app) dryKeysRotate(k keysOf, o accesskey.RotateOptions) error {
	doomed, err := k.service.Doomed(a.wait(), o)
	if err != nil {
		return err
	}
	keys, err := k.service.List(a.wait())
	if err != nil {
		return err
	}
	if len(doomed) > 0 {
		a.term.Note("would delete %s", strings.Join(doomed, " and "))
	}
	old := "no stored key"
	if key, err := k.service.Current(a.wait()); err == nil {
		old = key.AccessKey
	}
	switch {
	case o.Undo:
		a.term.Note("would hand out the key that retired last in place of %s; nothing was changed", old)
	default:
		a.term.Note("would issue an access key for %s, who holds %d, in place of %s; nothing was changed", k.identity, len(keys), old)
	}
	return nil
}
