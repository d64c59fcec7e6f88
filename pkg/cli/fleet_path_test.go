package cli

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/accesskey"
)

func TestFleetPath(t *testing.T) {
	for _, c := range []struct {
		id   accesskey.Identity
		want string
	}{
		{accesskey.Identity{VMS: "vms.example.com", User: "alice"}, "vms.example.com/-/alice"},
		{accesskey.Identity{VMS: "127.0.0.1:8443", Tenant: "t1", User: "a-b_c.d"}, "127.0.0.1:8443/t1/a-b_c.d"},
		{accesskey.Identity{VMS: "[::1]:8443", User: "alice@corp.example"}, "~5B::1~5D:8443/-/alice@corp.example"},
		{accesskey.Identity{VMS: "h", Tenant: "-", User: "-"}, "h/~2D/-"},
		{accesskey.Identity{VMS: "h", Tenant: "..", User: "."}, "h/~2E./~2E"},
		{accesskey.Identity{VMS: "h", Tenant: "a/b", User: "../x"}, "h/a~2Fb/~2E.~2Fx"},
		{accesskey.Identity{VMS: "h", Tenant: "~2F", User: "100%"}, "h/~7E2F/100~25"},
		{accesskey.Identity{VMS: "h", Tenant: "+", User: "a+b*"}, "h/~2B/a~2Bb~2A"},
		{accesskey.Identity{VMS: "h", Tenant: "{{x}}", User: "ü \"\\\x00"}, "h/~7B~7Bx~7D~7D/~C3~BC~20~22~5C~00"},
	} {
		if got := fleetPath(c.id); got != c.want {
			t.Errorf("%+v: %s, want %s", c.id, got, c.want)
		}
	}
}

// Whatever the names are, they can be told from the path, so that two identities
// never share a document; and the path has three segments that a URL, a policy
// and a proxy leave alone.
func TestFleetPathsDiffer(t *testing.T) {
	name := rapid.OneOf(rapid.StringMatching(`[-.~/%+*A-Fa-f0-9]{0,4}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		id := accesskey.Identity{VMS: name.Draw(t, "host") + "h", Tenant: name.Draw(t, "tenant"), User: name.Draw(t, "user") + "u"}
		path := fleetPath(id)
		if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@~/") != "" {
			t.Fatal(path)
		}
		segments := strings.Split(path, "/")
		if len(segments) != 3 {
			t.Fatal(path)
		}
		for i, s := range segments {
			if s == "" || s[0] == '.' {
				t.Fatal(path)
			}
			if i == 1 && s == "-" {
				segments[i] = "" // no tenant
				continue
			}
			name, err := url.PathUnescape(strings.ReplaceAll(s, "~", "%"))
			if err != nil {
				t.Fatal(path, err)
			}
			segments[i] = name
		}
		if got := (accesskey.Identity{VMS: segments[0], Tenant: segments[1], User: segments[2]}); got != id {
			t.Fatalf("%s is that of %+v, too", path, got)
		}
	})
}

// The policy of the documentation is the one that doctor asks for.
func TestFleetPolicyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"vms.example.com/-/alice", "vms.example.com/-/*"} {
		if !strings.Contains(string(page), fleetPolicy("valetkey", path)) {
			t.Errorf("docs/fleet.md lacks\n%s", fleetPolicy("valetkey", path))
		}
	}
}
