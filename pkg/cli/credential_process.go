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
	var verify bool
	cmd := a.addKeysFlags(&cobra.Command{
		Use:   "credential-process",
		Short: "Print credentials for AWS tools",
		Long: `Print the JSON document that AWS tools read from credential_process. The stored key is
printed without asking anybody; if none is stored one is issued, once for all processes that
ask at the same time. A VAST key does not expire: Expiration only tells a tool when to ask
again, and running again returns the same key.

A key older than keys.max_age is rotated on the way (see valetkey keys rotate): one process
tries for 3 seconds, and if it fails the key there is goes on, and the next try is 10 minutes
later. A retired key is deleted when its grace is over. exec and presign rotate nothing.

--verify asks S3, or else VMS, whether the key still works. A key that was deleted at VMS is
replaced by a new one; a disabled one is not, the exit code is 5. When neither can tell, the
key is printed as it is.

It never prompts. On failure standard output is empty and standard error has one line.
--debug writes to the file of VALETKEY_DEBUG_FILE alone.`,
		Example: `  valetkey credential-process
  valetkey credential-process --verify
  valetkey configure aws          write the line that calls it into ~/.aws/config`,
		RunE: func(*cobra.Command, []string) error { return a.runCredentialProcess(verify) },
	})
	cmd.Flags().BoolVar(&verify, "verify", false, "replace a key that was deleted; asks S3 or VMS every time")
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

func (a *app) runCredentialProcess(verify bool) error {
	if strings.HasPrefix(a.global.Output.Source, "flag ") || a.jq != "" {
		return failure.New(failure.Usage, "the form of the answer is fixed: -o and --jq do not apply")
	}
	k, err := a.accessKeys(keepingStores)
	if err != nil {
		return err
	}
	get := k.service.Fresh
	if verify {
		get = k.service.Verified
	}
	c, err := get(a.wait())
	if err != nil {
		return err
	}
	if err := render.Write(a.proc.Stdout, document(c)); err != nil {
		return err
	}
	if len(a.unasked) > 0 {
		a.term.Note("%s", strings.Join(a.unasked, "; "))
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
