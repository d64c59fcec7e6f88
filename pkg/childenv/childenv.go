// Package childenv composes the environment of a program that valetkey starts.
//
// It is pure: the parent's environment comes in as a value, the child's goes
// out as one. Nothing that could lead the child to other credentials than the
// ones handed to it is left over.
package childenv

import (
	"slices"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/secret"
)

// Credentials are what the child signs its S3 requests with.
type Credentials struct {
	AccessKey    string
	SecretKey    secret.Text
	SessionToken secret.Text
	// Ends is when the server stops taking the credentials; zero if it never does.
	// A soft expiry does not belong here: SDKs refuse to go on past this time.
	Ends time.Time
}

// Plan says what the child gets. The zero Plan passes the base through.
type Plan struct {
	Base []string // NAME=value, as the parent has them

	Credentials *Credentials
	Endpoint    string // URL of S3
	Region      string
	CAFile      string // trust for S3

	Drop []string // further names to take out
	Keep []string // names that stay although the plan would take them out
	Set  []Var    // further variables, set last

	FoldCase bool // names compare without case, as on Windows
}

// Var is one environment variable.
type Var struct{ Name, Value string }

// competing are the variables from which AWS SDKs and tools would take other
// credentials than the ones set here, or a time at which to drop them.
var competing = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
	"AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_CREDENTIAL_EXPIRATION", "AWS_CREDENTIAL_FILE",
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_VAULT",
	"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
}

// Compose returns the child's environment. The order of the base is kept, and
// no name occurs twice.
func (p Plan) Compose() []string {
	var set []Var
	drop := slices.Clone(p.Drop)
	if c := p.Credentials; c != nil {
		drop = append(drop, competing...)
		set = append(set, Var{"AWS_ACCESS_KEY_ID", c.AccessKey}, Var{"AWS_SECRET_ACCESS_KEY", c.SecretKey.Reveal()})
		if !c.SessionToken.IsEmpty() {
			set = append(set, Var{"AWS_SESSION_TOKEN", c.SessionToken.Reveal()})
		}
		if !c.Ends.IsZero() {
			set = append(set, Var{"AWS_CREDENTIAL_EXPIRATION", c.Ends.UTC().Format(time.RFC3339)})
		}
	}
	if p.Endpoint != "" {
		drop = append(drop, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") // SDKs would go to AWS
	}
	for _, v := range []Var{
		{"AWS_ENDPOINT_URL_S3", p.Endpoint},
		{"AWS_REGION", p.Region}, {"AWS_DEFAULT_REGION", p.Region},
		{"AWS_CA_BUNDLE", p.CAFile},
	} {
		if v.Value != "" {
			set = append(set, v)
		}
	}
	set = append(set, p.Set...)

	gone := map[string]bool{}
	for _, name := range drop {
		gone[p.fold(name)] = true
	}
	for _, name := range p.Keep {
		delete(gone, p.fold(name))
	}
	for _, v := range set {
		gone[p.fold(v.Name)] = true
	}
	env := make([]string, 0, len(p.Base)+len(set))
	seen := map[string]bool{}
	for _, entry := range p.Base {
		// A name may begin with "=" on Windows (=C:=C:\dir), so the first byte is no separator.
		i := strings.IndexByte(entry[min(1, len(entry)):], '=')
		if i < 0 {
			continue
		}
		name := p.fold(entry[:i+1])
		if gone[name] || seen[name] {
			continue
		}
		seen[name] = true
		env = append(env, entry)
	}
	last := map[string]int{}
	for i, v := range set {
		last[p.fold(v.Name)] = i
	}
	for i, v := range set {
		if last[p.fold(v.Name)] == i {
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return env
}

func (p Plan) fold(name string) string {
	if p.FoldCase {
		return strings.ToUpper(name)
	}
	return name
}
