package cli

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) credentialProcess() *cobra.Command {
	cmd := a.addKeysFlags(&cobra.Command{
		Use:   "credential-process",
		Short: "Print credentials for AWS tools",
		Long: `Print the JSON document that AWS tools read from credential_process. The stored key is
printed without asking anybody; if none is stored one is issued, once for all processes that
ask at the same time. A VAST key does not expire: Expiration only tells a tool when to ask
again, and running again returns the same key.

It never prompts. On failure standard output is empty and standard error has one line.
--debug writes to the file of VALETKEY_DEBUG_FILE alone.`,
		Example: `  valetkey credential-process
  valetkey configure aws          write the line that calls it into ~/.aws/config`,
		RunE: func(*cobra.Command, []string) error { return a.runCredentialProcess() },
	})
	return annotate(cmd, silentAnnotation, "yes")
}

// processDocument is what AWS tools read. Java takes an empty SessionToken for a
// temporary credential, so what is absent is left out.
type processDocument struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string `json:",omitempty"`
	Expiration      string `json:",omitempty"`
}

func (a *app) runCredentialProcess() error {
	if strings.HasPrefix(a.global.Output.Source, "flag ") || a.jq != "" {
		return failure.New(failure.Usage, "the form of the answer is fixed: -o and --jq do not apply")
	}
	k, err := a.accessKeys(keepingStores)
	if err != nil {
		return err
	}
	c, err := k.source.Credentials(a.wait())
	if err != nil {
		return err
	}
	if err := render.Write(a.proc.Stdout, document(c)); err != nil {
		return err
	}
	for _, line := range a.unasked {
		a.term.Note("%s", line)
	}
	return nil
}

func document(c accesskey.Credentials) []byte {
	d := processDocument{Version: 1, AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey.Reveal(), SessionToken: c.SessionToken.Reveal()}
	if !c.Expires.IsZero() {
		d.Expiration = c.Expires.UTC().Format(time.RFC3339)
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings always marshal
	}
	return append(b, '\n')
}
