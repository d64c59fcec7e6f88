package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (a *app) keys() *cobra.Command {
	return a.parent("keys", "S3 access keys of your VAST user",
		`A directory user of VAST may hold two S3 access keys, over all machines. VMS shows the secret
of a key once, and keys never expire. valetkey issues a key once for all processes that ask,
and stores it before anybody can lose it.`,
		"  valetkey keys create\n  valetkey keys list\n  valetkey keys rotate\n  valetkey keys reap",
		a.keysCreate(), a.keysList(), a.keysShow(), a.keysRotate(), a.keysReap(),
		a.keysSwitch("enable", true), a.keysSwitch("disable", false), a.keysDelete())
}

// addKeysFlags adds what every verb over keys takes.
func (a *app) addKeysFlags(cmd *cobra.Command) *cobra.Command {
	settings.AddFlags(cmd.Flags(), "keys.store")
	a.addVMSFlags(cmd)
	return cmd
}

var keyHeader = []string{"ACCESS_KEY", "ENABLED", "CREATED", "AGE", "STORED", "STATE"}

func keyRow(k accesskey.Key) []string {
	created, age := "", ""
	if !k.Created.IsZero() {
		created, age = k.Created.UTC().Format(time.RFC3339), people(k.Age)
	}
	return []string{k.AccessKey, yes(k.Enabled), created, age, yes(k.Stored), string(k.State)}
}

func yes(b bool) string { return fmt.Sprint(b) }

// people writes a duration in its one or two largest units.
func people(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// allHeader is the header of a list of many users' keys.
var allHeader = []string{"ACCESS_KEY", "USER", "TENANT", "ENABLED", "CREATED", "AGE", "STORED", "STATE"}

func allRow(k accesskey.Key) []string {
	row := keyRow(k)
	return append([]string{row[0], k.User, k.Tenant}, row[1:]...)
}

// keyAnswer renders one key.
func keyAnswer(k accesskey.Key, showSecret bool) render.Answer {
	answer := render.Answer{Value: k.Document(showSecret), Header: keyHeader, Rows: [][]string{keyRow(k)}}
	if showSecret {
		answer.Header = append([]string{"ACCESS_KEY", "SECRET_KEY"}, keyHeader[1:]...)
		row := keyRow(k)
		answer.Rows = [][]string{append([]string{row[0], k.SecretKey.Reveal()}, row[1:]...)}
	}
	return answer
}
