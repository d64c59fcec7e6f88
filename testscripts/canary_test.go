//go:build unix

package testscripts

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/cli"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/logintoken"
	"github.com/valetkey/valetkey/pkg/sandbox"
)

// canaryRun is one command line of the canary test.
type canaryRun struct {
	line  string            // $KEY is the stored access key; split at spaces, ' ' quotes
	stdin string            // standard input
	env   map[string]string // on top of the sandbox's
	fault bool              // with the sandbox that fails after it was given the secret
	fails bool              // the exit code must not be 0
	shows string            // the kind of secret that standard output is for: "", "key", "value", "env"
}

const (
	canaryValue = "canary-value-5e1f0c"
	canaryWrong = "canary-wrong-password-77aa"
	canaryToken = "canary-wrong-token-31bc"
)

// Secrets go through every command, to success and to failure after they were
// sent, and everything that was written is searched for them.
func TestCanary(t *testing.T) {
	t.Parallel()
	good := newCanary(t)
	bad := newCanary(t,
		"vms.get_s3keys=500", "vms.post_s3keys=500", "vms.delete_s3keys=html500", "vms.post_token=500",
		"vault.get_kv_data=500", "vault.post_kv_data=truncate", "vault.post_approle_login=500",
		"vault.get_token_self=500", "vault.post_token_revoke_self=500")
	covered := map[string][2]bool{} // command path → ran to 0, ran to failure
	for _, r := range canaryRuns(good) {
		c := good
		if r.fault {
			c = bad
		}
		path, code := c.run(t, r)
		got := covered[path]
		if code == 0 {
			got[0] = true
		} else {
			got[1] = true
		}
		covered[path] = got
		if r.fails == (code == 0) {
			t.Errorf("%s: exit code %d", r.line, code)
		}
	}
	for _, what := range []string{"secret key", "secret key of a fleet", "JWT", "refresh token"} {
		if good.secrets[what] == "" {
			t.Errorf("the %s never became known: its search proves nothing", what)
		}
	}
	for _, c := range []*canary{good, bad} {
		for _, o := range c.outputs {
			c.search(t, o.where, o.text, o.shows)
		}
		c.searchFiles(t)
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() || cmd.IsAdditionalHelpTopicCommand() {
			return
		}
		path := strings.TrimPrefix(cmd.CommandPath(), "valetkey ")
		if got := covered[path]; !got[0] || !got[1] {
			t.Errorf("%s: ran to success %t, to failure %t: every command needs both", path, got[0], got[1])
		}
	}
	walk(cli.Command())
}

// canaryRuns are in the order in which they can be run.
func canaryRuns(c *canary) []canaryRun {
	wrong := map[string]string{"VALETKEY_VMS_PASSWORD": canaryWrong}
	noToken := map[string]string{"VALETKEY_VAULT_TOKEN": canaryToken}
	nothing := map[string]string{"VALETKEY_VMS_PASSWORD": "", "VALETKEY_VAULT_TOKEN": ""}
	admin := map[string]string{"VALETKEY_VMS_USERNAME": "admin", "VALETKEY_VMS_PASSWORD": c.env["VALETKEY_SANDBOX_PASSWORD_ADMIN"]}
	config := map[string]string{"VALETKEY_CONFIG": filepath.Join(c.home, "config.yaml")}
	fleet := map[string]string{"VALETKEY_STORE": "vault", "VALETKEY_TOKENS_STORE": "file"}
	return []canaryRun{
		{line: "credential-process", env: fleet, shows: "key"}, // its secret is looked for, too
		{line: "keys list -o json --debug", env: fleet},
		{line: "doctor", env: fleet, fails: true}, // warns of root's token
		{line: "keys create --debug", env: fleet, fault: true, fails: true},
		{line: "credential-process", env: fleet, fault: true, fails: true},
		{line: "keys delete $KEY --yes", env: fleet},
		{line: "keys create"},
		{line: "keys create -o json", env: wrong, fails: true},
		{line: "keys create", fault: true, fails: true},
		{line: "keys list -o json"},
		{line: "keys list", env: wrong, fails: true},
		{line: "keys list -o json", fault: true, fails: true},
		{line: "keys show $KEY"},
		{line: "keys show $KEY --show-secret", shows: "key"},
		{line: "keys show $KEY", env: wrong, fails: true},
		{line: "keys disable $KEY --user alice", env: admin},
		{line: "keys enable $KEY --user alice -o json", env: admin},
		{line: "keys disable $KEY", fails: true}, // no role
		{line: "keys enable $KEY --user alice -o json", env: wrong, fails: true},
		{line: "keys create --user dora -o json", env: admin},
		{line: "keys list --all -o json", env: admin},
		{line: "keys list --all --user-tenant nope", env: admin, fails: true},
		{line: "credential-process", shows: "key"},
		{line: "credential-process --verify", shows: "key"},
		{line: "credential-process --verify", env: wrong, shows: "key"},
		{line: "credential-process", fault: true, fails: true},
		{line: "exec -- env", shows: "env"},
		{line: "exec -- false", fails: true},
		{line: "exec -- true", fault: true, fails: true},
		{line: "exec --ephemeral -- env", shows: "env"},
		{line: "exec --ephemeral -o json -- ./none", fails: true},
		{line: "exec --ephemeral --dry-run -- env"},
		{line: "exec --ephemeral -- true", fault: true, fails: true},
		{line: "presign s3://demo/x"},
		{line: "presign s3://demo/x", fault: true, fails: true},
		{line: "configure aws --aws-profile canary"},
		{line: "configure aws --aws-profile a]b", fails: true},
		{line: "policy render bucket-read --set bucket=demo"},
		{line: "policy render nope --set bucket=demo", fails: true},
		{line: "secrets set s --stdin", stdin: canaryValue},
		{line: "secrets set s --stdin", stdin: canaryValue, env: noToken, fails: true},
		{line: "secrets set s --stdin -o json", stdin: canaryValue, fault: true, fails: true},
		{line: "secrets set s --stdin --json", stdin: "{\"a\":\"" + canaryValue, fails: true},
		{line: "secrets get s", shows: "value"},
		{line: "secrets get s", env: noToken, fails: true},
		{line: "secrets list"},
		{line: "secrets list --show-values -o json", shows: "value"},
		{line: "secrets list", fault: true, fails: true},
		{line: "secrets delete s"},
		{line: "secrets delete s", env: noToken, fails: true},
		{line: "login vms --vms-password-stdin", stdin: c.password, env: nothing},
		{line: "keys list", env: nothing},
		{line: "login vms --vms-password-stdin", stdin: canaryWrong, fails: true},
		{line: "login vms", fault: true, fails: true},
		{line: "login vault --vault-password-stdin", stdin: c.token, env: nothing},
		{line: "login vault --vault-password-stdin", stdin: canaryToken, env: nothing, fails: true},
		{line: "login vault --vault-auth-method approle --vault-role-id x", env: map[string]string{"VALETKEY_VAULT_SECRET_ID": canaryToken}, fails: true},
		{line: "status --check -o json"},
		{line: "status --check", env: wrong, fails: true},
		{line: "status --check", env: noToken, fails: true},
		{line: "doctor --all-stores"},
		{line: "doctor -o json", env: wrong, fails: true},
		{line: "doctor", env: noToken, fails: true},
		{line: "doctor", fault: true, fails: true},
		{line: "config init", env: config},
		{line: "config init", env: config, fails: true},
		{line: "config set vms.password --stdin", stdin: canaryWrong, env: config},
		{line: "config set vms.pasword --stdin", stdin: canaryWrong, env: config, fails: true},
		{line: "config list", env: config},
		{line: "config list --timeout x", env: config, fails: true},
		{line: "config get vms.password"},
		{line: "config get vms.nope", fails: true},
		{line: "config path"},
		{line: "config path extra", fails: true},
		{line: "config profiles", env: config},
		{line: "config profiles", env: map[string]string{"VALETKEY_PROFILE": "nope"}, fails: true},
		{line: "keys rotate -o json"},
		{line: "keys rotate", fails: true}, // no room
		{line: "keys rotate --undo"},
		{line: "keys rotate", env: wrong, fails: true},
		{line: "keys rotate", fault: true, fails: true},
		{line: "keys rotate --undo", fault: true, fails: true},
		{line: "keys reap --yes -o json"},
		{line: "keys reap --yes", env: wrong, fails: true},
		{line: "keys reap --yes", fault: true, fails: true},
		{line: "keys delete $KEY --yes", env: wrong, fails: true},
		{line: "keys delete AAAAAAAAAAAAAAAAAAAA --yes", fault: true, fails: true},
		{line: "keys delete $KEY --yes"},
		{line: "logout vault", env: nothing, fault: true},
		{line: "logout nope", fails: true},
		{line: "logout", env: nothing},
		{line: "dev -- true"},
		{line: "dev -- false", fails: true},
		{line: "completion bash"}, {line: "completion bash x", fails: true},
		{line: "completion zsh"}, {line: "completion zsh x", fails: true},
		{line: "completion fish"}, {line: "completion fish x", fails: true},
		{line: "completion powershell"}, {line: "completion powershell x", fails: true},
		{line: "version"}, {line: "version x", fails: true},
		{line: "help keys create"}, {line: "help nope", fails: true},
	}
}

// canary is one sandbox, and the secrets that must not be seen.
type canary struct {
	sandbox         *sandbox.Sandbox
	env             map[string]string
	home            string
	password, token string
	key             string
	secrets         map[string]string // what → value
	outputs         []output          // searched at the end, when all secrets are known
}

type output struct{ where, text, shows string }

func newCanary(t *testing.T, faults ...string) *canary {
	t.Helper()
	s, err := sandbox.Start(context.Background(), sandbox.Options{Binary: binary, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := &canary{sandbox: s, env: map[string]string{"PATH": os.Getenv("PATH")}, home: t.TempDir(), secrets: map[string]string{}}
	if err := os.Chmod(c.home, 0o700); err != nil { //nolint:gosec // a directory
		t.Fatal(err)
	}
	for _, v := range s.Env(nil) {
		c.env[v.Name] = v.Value
		if v.Secret {
			c.secrets[v.Name] = v.Value
		}
	}
	c.env["HOME"] = c.home
	c.env["AWS_CONFIG_FILE"] = filepath.Join(c.home, "aws-config")
	c.env["VALETKEY_DEBUG"] = "true"
	c.password, c.token = c.env["VALETKEY_VMS_PASSWORD"], c.env["VALETKEY_VAULT_TOKEN"]
	for what, value := range map[string]string{"value": canaryValue, "wrong password": canaryWrong, "wrong token": canaryToken} {
		c.secrets[what] = value
	}
	return c
}

func (c *canary) run(t *testing.T, r canaryRun) (path string, code int) {
	t.Helper()
	args := strings.Fields(strings.ReplaceAll(r.line, "$KEY", c.key))
	found, _, err := cli.Command().Find(args)
	if err != nil {
		t.Fatalf("%s: %v", r.line, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	for name, value := range c.env {
		if _, replaced := r.env[name]; !replaced {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	for name, value := range r.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdin = strings.NewReader(r.stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = c.home
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%s: %v", r.line, err)
		}
		code = exit.ExitCode()
	}
	c.learnKey(t, r, code, out.String())
	c.outputs = append(c.outputs,
		output{r.line + " on standard error", errs.String(), ""},
		output{r.line + " on standard output", out.String(), r.shows})
	c.collectLogins(t)
	return strings.TrimPrefix(found.CommandPath(), "valetkey "), code
}

// learnKey adds the secret of the issued key to those that must not be seen.
func (c *canary) learnKey(t *testing.T, r canaryRun, code int, answer string) {
	t.Helper()
	if r.shows == "key" && r.env["VALETKEY_STORE"] == "vault" {
		fields := strings.Split(answer, `"`)
		if code != 0 || len(fields) < 10 {
			t.Fatalf("%s: exit code %d", r.line, code)
		}
		c.key, c.secrets["secret key of a fleet"] = fields[5], fields[9]
	}
	if c.secrets["secret key"] != "" || r.line != "keys create" || code != 0 {
		return
	}
	cmd := exec.Command(binary, "credential-process", "--no-input")
	for name, value := range c.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(string(out), `"`)
	c.key, c.secrets["secret key"] = fields[5], fields[9]
}

// collectLogins adds the tokens of a stored login, as long as there is one.
func (c *canary) collectLogins(t *testing.T) {
	t.Helper()
	store := keystore.NewFile(keystore.FileOptions{Dir: c.env["VALETKEY_STORE_DIR"], Identity: c.env["VALETKEY_STORE_IDENTITY"]})
	address, err := url.Parse(c.env["VALETKEY_VMS_ADDRESS"])
	if err != nil {
		t.Fatal(err)
	}
	name := logintoken.VMSName(address.Host, "", "alice")
	raw, err := store.Get(context.Background(), name)
	if err != nil {
		return // logged out
	}
	item, err := logintoken.Decode(name, raw)
	if err != nil {
		t.Fatal(err)
	}
	c.secrets["JWT"], c.secrets["refresh token"] = item.Access.Reveal(), item.Refresh.Reveal()
}

// searchFiles looks through everything that was left on disk.
func (c *canary) searchFiles(t *testing.T) {
	t.Helper()
	for _, root := range []string{c.sandbox.Dir(), c.home} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if filepath.Base(path) == "config.yaml" && root == c.home {
				return nil // `config set vms.password` is for that
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			c.search(t, "the file "+path, string(b), "")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// search reports secrets in text, as they are or encoded in the usual ways.
// What the text is for may be in it: the key, the value, or the AWS variables.
func (c *canary) search(t *testing.T, where, text, shows string) {
	t.Helper()
	if shows == "env" {
		var kept []string
		for l := range strings.SplitSeq(text, "\n") {
			if !strings.HasPrefix(l, "AWS_SECRET_ACCESS_KEY=") {
				kept = append(kept, l)
			}
		}
		text = strings.Join(kept, "\n")
	}
	for what, value := range c.secrets {
		if value == "" || shows == "key" && strings.HasPrefix(what, "secret key") || shows == "value" && what == "value" {
			continue
		}
		for how, form := range map[string]string{
			"": value, " in base64": base64.StdEncoding.EncodeToString([]byte(value)), " in hex": hex.EncodeToString([]byte(value)),
			" in base64 with the user": base64.StdEncoding.EncodeToString([]byte("alice:" + value)), " escaped": url.QueryEscape(value),
		} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows the secret %s%s", where, what, how)
			}
		}
	}
}
