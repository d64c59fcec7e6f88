package settings

import (
	"slices"
	"strings"
	"sync"
)

// Row describes one setting.
type Row struct {
	Name      string   // as `config get` takes it; below profiles.NAME in the config file
	Flag      string   // without dashes; empty when there is none
	Shorthand string   // one letter, or empty
	Env       string   // the VALETKEY_ variable; empty when only the config file can say it
	Aliases   []string // variables people have already, the first winning
	Kind      Kind
	Choices   []string // of an Enum; words that a Duration takes besides durations
	Default   string   // what counts when nobody says anything; see Note for those that are derived
	Note      string   // how a derived default comes about, or empty
	Secret    bool
	Outside   bool   // not a key of a profile
	Group     string // what AddFlags and the reference page put together
	Help      string // one sentence, no full stop

	check func(string) error // a further check of a value that is not empty
}

// FileOnly reports whether only the config file can give the setting.
func (r Row) FileOnly() bool { return r.Flag == "" && r.Env == "" }

// EnvOnly reports whether only the environment can give the setting.
func (r Row) EnvOnly() bool { return r.Flag == "" && r.Outside }

// Variables returns the environment variables of the setting, the winning one first.
func (r Row) Variables() []string {
	if r.Env == "" {
		return r.Aliases
	}
	return append([]string{r.Env}, r.Aliases...)
}

// The groups of settings.
const (
	GroupGlobal    = "global"
	GroupVMS       = "vms"
	GroupVault     = "vault"      // address and TLS
	GroupVaultAuth = "vault.auth" // how to log in to Vault
	GroupKV        = "kv"         // where secrets lie in Vault
	GroupS3        = "s3"
	GroupKeys      = "keys"
	GroupJob       = "job"
	GroupPlaces    = "places" // files and directories
)

var table = []Row{
	{Name: "profile", Flag: "profile", Shorthand: "p", Env: "VALETKEY_PROFILE", Default: "default", Note: "default_profile of the config file, else default", Outside: true, Group: GroupGlobal,
		Help: "profile of the config file to use"},
	{Name: "output", Flag: "output", Shorthand: "o", Env: "VALETKEY_OUTPUT", Kind: Enum, Choices: []string{"table", "json", "yaml"}, Default: "table", Group: GroupGlobal,
		Help: "format of the answer"},
	{Name: "timeout", Flag: "timeout", Env: "VALETKEY_TIMEOUT", Kind: Duration, Default: "30s", Group: GroupGlobal,
		Help: "longest time the command waits for servers, stores and locks"},
	{Name: "debug", Flag: "debug", Env: "VALETKEY_DEBUG", Kind: Bool, Default: "false", Group: GroupGlobal,
		Help: "print what is sent and received on stderr, without secrets"},
	{Name: "no_input", Flag: "no-input", Env: "VALETKEY_NO_INPUT", Aliases: []string{"CI"}, Kind: Bool, Default: "false", Group: GroupGlobal,
		Help: "never prompt; CI=true does the same"},
	{Name: "quiet", Flag: "quiet", Env: "VALETKEY_QUIET", Kind: Bool, Default: "false", Group: GroupGlobal,
		Help: "print no progress, notes or hints on stderr"},

	{Name: "vms.address", Flag: "vms-address", Env: "VALETKEY_VMS_ADDRESS", Aliases: []string{"VMS_ADDRESS", "VAST_VIP"}, Kind: Address, Group: GroupVMS,
		Help: "address of VMS: host, host:port or https URL"},
	{Name: "vms.username", Flag: "vms-username", Env: "VALETKEY_VMS_USERNAME", Aliases: []string{"VMS_USER", "VAST_USERNAME"}, Group: GroupVMS,
		Help: "user name at VMS"},
	{Name: "vms.password", Env: "VALETKEY_VMS_PASSWORD", Aliases: []string{"VMS_PASSWORD", "VAST_PASSWORD"}, Secret: true, Group: GroupVMS,
		Help: "password at VMS; a prompt or --vms-password-stdin gives it too"},
	{Name: "vms.password_command", Kind: Argv, Group: GroupVMS,
		Help: "program whose first output line is the password, as a list of arguments; no shell is involved unless the list names one"},
	{Name: "vms.token", Env: "VALETKEY_VMS_TOKEN", Aliases: []string{"VMS_TOKEN"}, Secret: true, Group: GroupVMS,
		Help: "API token of VMS, instead of user name and password"},
	{Name: "vms.tenant", Flag: "vms-tenant", Env: "VALETKEY_VMS_TENANT", Aliases: []string{"VMS_TENANT_NAME"}, Group: GroupVMS,
		Help: "name of the tenant to log in to"},
	{Name: "vms.api_version", Flag: "vms-api-version", Env: "VALETKEY_VMS_API_VERSION", Aliases: []string{"VMS_API_VERSION"}, Group: GroupVMS, Note: "empty, which means /api/", check: checkAPIVersion,
		Help: "version of the VMS API, such as v5 or latest"},
	{Name: "vms.ca_file", Flag: "vms-ca-file", Env: "VALETKEY_VMS_CA_FILE", Aliases: []string{"VMS_CERT_FILE"}, Kind: Path, Group: GroupVMS,
		Help: "PEM file of the certificate authorities to trust for VMS, instead of the system's"},
	{Name: "vms.server_name", Flag: "vms-server-name", Env: "VALETKEY_VMS_SERVER_NAME", Aliases: []string{"VMS_CERT_SERVER"}, Group: GroupVMS,
		Help: "name to expect in the certificate of VMS, when it differs from the address"},
	{Name: "vms.pin_sha256", Flag: "vms-pin-sha256", Env: "VALETKEY_VMS_PIN_SHA256", Group: GroupVMS, check: checkPin,
		Help: "SHA-256 of the public key of VMS, which replaces the check by a certificate authority"},
	{Name: "vms.client_cert", Flag: "vms-client-cert", Env: "VALETKEY_VMS_CLIENT_CERT", Kind: Path, Group: GroupVMS,
		Help: "PEM file of the client certificate for VMS"},
	{Name: "vms.client_key", Flag: "vms-client-key", Env: "VALETKEY_VMS_CLIENT_KEY", Kind: Path, Group: GroupVMS,
		Help: "PEM file of the key of the client certificate for VMS"},
	{Name: "vms.insecure", Flag: "vms-insecure", Env: "VALETKEY_VMS_INSECURE", Kind: Bool, Default: "false", Group: GroupVMS,
		Help: "do not verify the certificate of VMS; warns at every run"},

	{Name: "vault.address", Flag: "vault-address", Env: "VALETKEY_VAULT_ADDRESS", Aliases: []string{"VAULT_ADDR"}, Kind: Address, Group: GroupVault,
		Help: "address of Vault: host, host:port or https URL"},
	{Name: "vault.namespace", Flag: "vault-namespace", Env: "VALETKEY_VAULT_NAMESPACE", Aliases: []string{"VAULT_NAMESPACE"}, Group: GroupVault,
		Help: "namespace of Vault"},
	{Name: "vault.ca_file", Flag: "vault-ca-file", Env: "VALETKEY_VAULT_CA_FILE", Aliases: []string{"VAULT_CACERT"}, Kind: Path, Group: GroupVault,
		Help: "PEM file of the certificate authorities to trust for Vault, instead of the system's"},
	{Name: "vault.server_name", Flag: "vault-server-name", Env: "VALETKEY_VAULT_SERVER_NAME", Aliases: []string{"VAULT_TLS_SERVER_NAME"}, Group: GroupVault,
		Help: "name to expect in the certificate of Vault, when it differs from the address"},
	{Name: "vault.pin_sha256", Flag: "vault-pin-sha256", Env: "VALETKEY_VAULT_PIN_SHA256", Group: GroupVault, check: checkPin,
		Help: "SHA-256 of the public key of Vault, which replaces the check by a certificate authority"},
	{Name: "vault.client_cert", Flag: "vault-client-cert", Env: "VALETKEY_VAULT_CLIENT_CERT", Aliases: []string{"VAULT_CLIENT_CERT"}, Kind: Path, Group: GroupVault,
		Help: "PEM file of the client certificate for Vault"},
	{Name: "vault.client_key", Flag: "vault-client-key", Env: "VALETKEY_VAULT_CLIENT_KEY", Aliases: []string{"VAULT_CLIENT_KEY"}, Kind: Path, Group: GroupVault,
		Help: "PEM file of the key of the client certificate for Vault"},
	// VAULT_SKIP_VERIFY is no alias: one forgotten export would switch TLS off everywhere.
	{Name: "vault.insecure", Flag: "vault-insecure", Env: "VALETKEY_VAULT_INSECURE", Kind: Bool, Default: "false", Group: GroupVault,
		Help: "do not verify the certificate of Vault; warns at every run, and VAULT_SKIP_VERIFY is ignored"},
	{Name: "vault.redirect_hosts", Env: "VALETKEY_VAULT_REDIRECT_HOSTS", Kind: List, Group: GroupVault,
		Help: "further hosts (host or host:port) that a standby Vault may redirect to"},
	{Name: "vault.token", Env: "VALETKEY_VAULT_TOKEN", Aliases: []string{"VAULT_TOKEN"}, Secret: true, Group: GroupVault, Note: "the content of ~/.vault-token",
		Help: "token of Vault"},
	{Name: "vault.mount", Flag: "mount", Env: "VALETKEY_VAULT_MOUNT", Default: "secret", Group: GroupKV,
		Help: "KV v2 mount that holds the secrets of jobs"},
	{Name: "vault.layout", Flag: "layout", Env: "VALETKEY_VAULT_LAYOUT", Kind: Enum, Choices: []string{"vdk", "flat"}, Default: "vdk", Group: GroupKV,
		Help: "layout of new secret documents"},
	{Name: "vault.auth.method", Flag: "vault-auth-method", Env: "VALETKEY_VAULT_AUTH_METHOD", Kind: Enum, Choices: []string{"token", "approle", "userpass", "ldap", "jwt", "kubernetes"}, Default: "token", Group: GroupVaultAuth,
		Help: "how to log in to Vault; any method but token ignores VAULT_TOKEN and ~/.vault-token"},
	{Name: "vault.auth.mount", Flag: "vault-auth-mount", Env: "VALETKEY_VAULT_AUTH_MOUNT", Note: "the name of the method", Group: GroupVaultAuth,
		Help: "path where the auth method is mounted"},
	{Name: "vault.auth.role", Flag: "vault-role", Env: "VALETKEY_VAULT_ROLE", Group: GroupVaultAuth,
		Help: "role to log in with (jwt, kubernetes)"},
	{Name: "vault.auth.role_id", Flag: "vault-role-id", Env: "VALETKEY_VAULT_ROLE_ID", Group: GroupVaultAuth,
		Help: "role ID of an AppRole"},
	{Name: "vault.auth.secret_id", Env: "VALETKEY_VAULT_SECRET_ID", Secret: true, Group: GroupVaultAuth,
		Help: "secret ID of an AppRole"},
	{Name: "vault.auth.secret_id_file", Flag: "vault-secret-id-file", Env: "VALETKEY_VAULT_SECRET_ID_FILE", Kind: Path, Group: GroupVaultAuth,
		Help: "file that holds the secret ID of an AppRole"},
	{Name: "vault.auth.jwt_file", Flag: "vault-jwt-file", Env: "VALETKEY_VAULT_JWT_FILE", Kind: Path, Group: GroupVaultAuth,
		Note: "for kubernetes " + kubernetesJWT,
		Help: "file that holds the JSON Web Token to log in with (jwt, kubernetes)"},
	{Name: "vault.auth.username", Flag: "vault-username", Env: "VALETKEY_VAULT_USERNAME", Group: GroupVaultAuth,
		Help: "user name at Vault (userpass, ldap)"},
	{Name: "vault.auth.password", Env: "VALETKEY_VAULT_PASSWORD", Secret: true, Group: GroupVaultAuth,
		Help: "password at Vault (userpass, ldap); a prompt or --vault-password-stdin gives it too"},

	{Name: "team", Flag: "team", Shorthand: "t", Env: "VALETKEY_TEAM", Group: GroupJob,
		Help: "team that owns the data job"},
	{Name: "job", Flag: "job", Shorthand: "j", Env: "VALETKEY_JOB", Group: GroupJob,
		Help: "data job whose secrets are meant"},

	{Name: "s3.endpoint", Flag: "endpoint", Env: "VALETKEY_S3_ENDPOINT", Aliases: []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}, Kind: Address, Group: GroupS3,
		Help: "S3 endpoint"},
	{Name: "s3.public_endpoint", Flag: "public-endpoint", Env: "VALETKEY_S3_PUBLIC_ENDPOINT", Kind: Address, Note: "s3.endpoint", Group: GroupS3,
		Help: "S3 endpoint that is put into URLs"},
	{Name: "s3.region", Flag: "region", Env: "VALETKEY_S3_REGION", Aliases: []string{"AWS_REGION", "AWS_DEFAULT_REGION"}, Default: "us-east-1", Group: GroupS3,
		Help: "region that requests are signed for"},
	{Name: "s3.addressing", Flag: "addressing", Env: "VALETKEY_S3_ADDRESSING", Kind: Enum, Choices: []string{"path", "virtual"}, Default: "path", Group: GroupS3,
		Help: "whether the bucket stands in the path or in the host name"},
	{Name: "s3.ca_file", Flag: "s3-ca-file", Env: "VALETKEY_S3_CA_FILE", Aliases: []string{"AWS_CA_BUNDLE"}, Kind: Path, Group: GroupS3,
		Help: "PEM file of the certificate authorities to trust for S3, instead of the system's"},
	{Name: "s3.insecure", Flag: "s3-insecure", Env: "VALETKEY_S3_INSECURE", Kind: Bool, Default: "false", Group: GroupS3,
		Help: "do not verify the certificate of S3; warns at every run"},

	{Name: "keys.store", Flag: "store", Env: "VALETKEY_STORE", Kind: Enum, Choices: []string{"os", "kernel", "file", "vault", "memory"}, Default: "os", Group: GroupKeys,
		Help: "where access keys are kept"},
	{Name: "keys.refresh", Env: "VALETKEY_KEYS_REFRESH", Kind: Duration, Default: "1h", Group: GroupKeys,
		Help: "how long an SDK may use a key before it asks again; at least 30m"},
	{Name: "keys.max_age", Env: "VALETKEY_KEYS_MAX_AGE", Kind: Duration, Choices: []string{"none"}, Default: "none", Group: GroupKeys,
		Help: "age above which credential-process rotates a key; more than keys.grace and keys.refresh together"},
	{Name: "keys.grace", Env: "VALETKEY_KEYS_GRACE", Kind: Duration, Default: "24h", Group: GroupKeys,
		Help: "how long the old key lives on after a rotation"},
	{Name: "keys.vault_mount", Env: "VALETKEY_KEYS_VAULT_MOUNT", Default: "valetkey", Group: GroupKeys,
		Help: "KV v2 mount of its own for the store vault"},
	{Name: "tokens.store", Env: "VALETKEY_TOKENS_STORE", Kind: Enum, Choices: []string{"os", "kernel", "file"}, Default: "os", Note: "keys.store if it is os, kernel or file, else os", Group: GroupKeys,
		Help: "where logins and leases are kept"},

	{Name: "config", Env: "VALETKEY_CONFIG", Kind: Path, Outside: true, Note: "$XDG_CONFIG_HOME/valetkey/config.yaml, else ~/.config/valetkey/config.yaml; %AppData%\\valetkey\\config.yaml on Windows", Group: GroupPlaces,
		Help: "config file; the null device means none"},
	{Name: "state.dir", Env: "VALETKEY_STATE_DIR", Kind: Path, Note: "$XDG_STATE_HOME/valetkey, else ~/.local/state/valetkey; %LocalAppData%\\valetkey on Windows", Group: GroupPlaces,
		Help: "directory of locks, journal and index, never of a secret"},
	{Name: "store.dir", Env: "VALETKEY_STORE_DIR", Kind: Path, Note: "$XDG_DATA_HOME/valetkey, else ~/.local/share/valetkey; %LocalAppData%\\valetkey\\store on Windows", Group: GroupPlaces,
		Help: "directory of the store file"},
	{Name: "store.identity", Env: "VALETKEY_STORE_IDENTITY", Kind: Path, Note: "a passphrase is asked for", Group: GroupPlaces,
		Help: "age identity file that opens the store file"},
	{Name: "debug_file", Env: "VALETKEY_DEBUG_FILE", Kind: Path, Outside: true, Group: GroupPlaces,
		Help: "file that debug output is appended to, instead of stderr"},
	{Name: "sandbox.dir", Env: "VALETKEY_SANDBOX_DIR", Kind: Path, Outside: true, Group: GroupPlaces,
		Help: "directory of a running sandbox, set by valetkey dev; its clock counts while all addresses are loopback"},
}

// kubernetesJWT is where Kubernetes puts the token of a pod's service account.
const kubernetesJWT = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Rows returns the table of all settings, in the order of the reference page.
// The caller must not change what the rows point to.
func Rows() []Row { return slices.Clone(table) }

// Find returns the row of a setting.
func Find(name string) (Row, bool) {
	i, ok := index()[name]
	if !ok {
		return Row{}, false
	}
	return table[i], true
}

var index = sync.OnceValue(func() map[string]int {
	m := make(map[string]int, len(table))
	for i, r := range table {
		m[r.Name] = i
	}
	return m
})

// SecretVariables returns every variable that can hold a secret, aliases
// included: what a child process must not inherit.
func SecretVariables() []string {
	var names []string
	for _, r := range table {
		if r.Secret {
			names = append(names, r.Variables()...)
		}
	}
	return names
}

// names returns the names of all rows that keep accepts.
func names(keep func(Row) bool) []string {
	var list []string
	for _, r := range table {
		if keep(r) {
			list = append(list, r.Name)
		}
	}
	return list
}

// below returns the keys that may follow prefix in a profile, and whether
// prefix is itself a section. The prefix "" is the profile.
func below(prefix string) (keys []string, section bool) {
	for _, r := range table {
		if r.Outside {
			continue
		}
		rest := r.Name
		if prefix != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(r.Name, prefix+"."); !ok {
				continue
			}
		}
		key, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys, len(keys) > 0
}
