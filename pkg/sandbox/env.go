package sandbox

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/valetkey/valetkey/pkg/childenv"
	"github.com/valetkey/valetkey/pkg/secret"
)

// EnvVar is one variable of the sandbox's environment. Secret ones format as redacted.
type EnvVar struct {
	Name   string
	Value  string
	Secret bool
}

// Format implements fmt.Formatter for every verb.
func (v EnvVar) Format(f fmt.State, _ rune) {
	value := v.Value
	if v.Secret {
		value = secret.Redacted
	}
	_, _ = f.Write([]byte(v.Name + "=" + value))
}

// Env returns the environment in which valetkey, AWS tools and SDKs use the
// sandbox and nothing of the person's own. Of base, the person's environment as
// NAME=value, only the proxy exceptions matter: loopback is added to them.
func (s *Sandbox) Env(base []string) []EnvVar {
	in := func(elements ...string) string { return filepath.Join(append([]string{s.dir}, elements...)...) }
	plain := func(name, value string) EnvVar { return EnvVar{Name: name, Value: value} }
	hidden := func(name string, value secret.Text) EnvVar {
		return EnvVar{Name: name, Value: value.Reveal(), Secret: true}
	}
	upper, lower := noProxy(base)
	return []EnvVar{
		plain("VALETKEY_SANDBOX_DIR", s.dir),
		plain("VALETKEY_CONFIG", in(configDir, configFile)),
		plain("VALETKEY_STATE_DIR", in(stateDir)),
		plain("VALETKEY_STORE", "file"),
		plain("VALETKEY_STORE_DIR", in(storeDir)),
		plain("VALETKEY_STORE_IDENTITY", in(identityFile)),
		plain("VALETKEY_VMS_ADDRESS", s.vms),
		plain("VALETKEY_VMS_CA_FILE", s.CAFile()),
		plain("VALETKEY_VMS_USERNAME", "alice"),
		hidden("VALETKEY_VMS_PASSWORD", s.Password("alice")),
		hidden("VALETKEY_SANDBOX_PASSWORD_BOB", s.Password("bob")),
		hidden("VALETKEY_SANDBOX_PASSWORD_CAROL", s.Password("carol")),
		hidden("VALETKEY_SANDBOX_PASSWORD_ADMIN", s.Password("admin")),
		plain("VALETKEY_VAULT_ADDRESS", s.vault),
		plain("VALETKEY_VAULT_CA_FILE", s.CAFile()),
		hidden("VALETKEY_VAULT_TOKEN", s.people.rootToken),
		plain("VALETKEY_SANDBOX_ROLE_ID", s.people.roleID),
		hidden("VALETKEY_SANDBOX_SECRET_ID", s.people.secretID),
		plain("VALETKEY_TEAM", "demo"),
		plain("VALETKEY_JOB", "hello-job"),
		plain("VALETKEY_S3_ENDPOINT", s.s3),
		plain("AWS_ENDPOINT_URL", s.s3),
		plain("AWS_CA_BUNDLE", s.CAFile()),
		plain("AWS_REGION", region),
		plain("AWS_CONFIG_FILE", in(awsDir, awsConfigFile)),
		plain("AWS_SHARED_CREDENTIALS_FILE", in(awsDir, awsSharedSecret)),
		plain("AWS_EC2_METADATA_DISABLED", "true"),
		plain("NODE_EXTRA_CA_CERTS", s.CAFile()),
		plain("NO_PROXY", upper),
		plain("no_proxy", lower),
	}
}

// Variables are the names that [Sandbox.Env] sets, in its order.
func Variables() []string {
	var names []string
	for _, v := range new(Sandbox).Env(nil) {
		names = append(names, v.Name)
	}
	return names
}

// ChildEnv returns base, as NAME=value, with the person's own AWS_*, VAULT_*,
// VMS_*, VAST_* and VALETKEY_* taken out and those of [Sandbox.Env] put in.
func (s *Sandbox) ChildEnv(base []string) []string {
	plan := childenv.Plan{FoldCase: foldCase}
	for _, entry := range base {
		if name, _, ok := strings.Cut(entry, "="); !ok || !personal(name) {
			plan.Base = append(plan.Base, entry)
		}
	}
	for _, v := range s.Env(base) {
		plan.Set = append(plan.Set, childenv.Var{Name: v.Name, Value: v.Value})
	}
	return plan.Compose()
}

// foldCase says that names of variables compare without case.
const foldCase = runtime.GOOS == "windows"

// personal reports whether a variable would lead to the person's own clusters and credentials.
func personal(name string) bool {
	if foldCase {
		name = strings.ToUpper(name)
	}
	for _, prefix := range []string{"AWS_", "VAULT_", "VMS_", "VAST_", "VALETKEY_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// noProxy returns the proxy exceptions of base with loopback in them. Programs
// read the one or the other spelling, so each falls back to the other's value.
func noProxy(base []string) (upper, lower string) {
	for _, entry := range base {
		switch name, value, _ := strings.Cut(entry, "="); {
		case name == "NO_PROXY" || foldCase && strings.EqualFold(name, "NO_PROXY"):
			upper = value
		case name == "no_proxy":
			lower = value
		}
	}
	if upper == "" {
		upper = lower
	}
	if lower == "" {
		lower = upper
	}
	return withLoopback(upper), withLoopback(lower)
}

func withLoopback(list string) string {
	have := map[string]bool{}
	for item := range strings.SplitSeq(list, ",") {
		have[strings.TrimSpace(item)] = true
	}
	if have["*"] {
		return list // no proxy for anything
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if !have[host] {
			if list != "" {
				list += ","
			}
			list += host
		}
	}
	return list
}
