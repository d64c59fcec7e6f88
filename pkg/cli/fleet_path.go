package cli

import (
	"fmt"
	"strings"

	"github.com/valetkey/valetkey/pkg/accesskey"
)

// fleetPath is where the document of an identity lies below its mount:
// HOST/TENANT/USER with "-" for no tenant. Each is one segment, whatever it
// holds, and different identities have different paths.
//
// What is not a letter of ASCII, a digit or one of - _ . : @ is escaped byte by
// byte, "~" and two hexadecimal digits. So a path needs no escapes of its own in
// a URL, which proxies like to undo, and holds nothing that means something else
// in a policy of Vault: + * { }.
func fleetPath(id accesskey.Identity) string {
	tenant := fleetSegment(id.Tenant)
	switch tenant {
	case "":
		tenant = "-"
	case "-":
		tenant = "~2D"
	}
	return fleetSegment(id.VMS) + "/" + tenant + "/" + fleetSegment(id.User)
}

func fleetSegment(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			strings.IndexByte("-_:@", c) >= 0,
			c == '.' && i > 0: // "." and ".." are no names
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "~%02X", c)
		}
	}
	return b.String()
}

// fleetRule is what a policy must grant on one area of a KV v2 mount.
type fleetRule struct {
	path string
	may  []string
	why  string
}

// fleetRules are all that the machines need for one document, or for those that
// a pattern covers.
func fleetRules(mount, path string) []fleetRule {
	mount = strings.Trim(mount, "/")
	return []fleetRule{
		{mount + "/data/" + path, []string{"create", "read", "update"}, "read and write the document"},
		{mount + "/metadata/" + path, []string{"read"}, "see which old versions there are"},
		{mount + "/destroy/" + path, []string{"update"}, "destroy them: they hold secrets of deleted keys"},
	}
}

// fleetPolicy is the policy that grants it, in Vault's language.
func fleetPolicy(mount, path string) string {
	var b strings.Builder
	for _, r := range fleetRules(mount, path) {
		fmt.Fprintf(&b, "path %q { capabilities = [\"%s\"] }\n", r.path, strings.Join(r.may, `", "`))
	}
	return b.String()
}
