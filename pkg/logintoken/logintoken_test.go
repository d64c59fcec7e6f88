package logintoken_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/logintoken"
	"github.com/valetkey/valetkey/pkg/secret"
)

var at = time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC)

var golden = map[string]logintoken.Item{
	"vms": {
		Kind: logintoken.VMS, Address: "vms.example.com:8443", Realm: "research", User: `CORP\alice`,
		Access: secret.FromString("header.payload.sig"), Refresh: secret.FromString("r.<&>.s"),
		Obtained: at, Expires: at.Add(time.Hour), Trust: "ca:sha256:ab12",
	},
	"vault": {
		Kind: logintoken.Vault, Address: "vault.example.com", Realm: "team/a", Mount: "userpass", User: "alice",
		Access: secret.FromString("hvs.CAESI"), Obtained: at, Expires: at.Add(768 * time.Hour), TTL: 768 * time.Hour,
		Renewable: true, Accessor: "acc",
	},
	"given": {
		Kind: logintoken.Vault, Address: "vault.example.com", Mount: "token", User: "token",
		Access: secret.FromString("hvs.CAESI"), Obtained: at, Given: true, Accessor: "acc",
	},
	"least": {Kind: logintoken.VMS, Address: "v", User: "u", Access: secret.FromString("t")},
}

// The bytes are a format: the files change only with a new version.
func TestGolden(t *testing.T) {
	for name, it := range golden {
		want, err := os.ReadFile(filepath.Join("testdata", name+".v1.json"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := it.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), string(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		back, err := logintoken.Decode(it.Name(), want)
		if err != nil {
			t.Fatal(err)
		}
		if !back.Access.Equal(it.Access) || !back.Refresh.Equal(it.Refresh) {
			t.Errorf("%s: tokens differ", name)
		}
		again, _ := back.Encode()
		if string(again) != string(got) {
			t.Errorf("%s: %s after a round trip", name, again)
		}
		if len(got) > 2500 {
			t.Errorf("%s has %d bytes", name, len(got))
		}
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]string{
		"login/vms/h/-/u":         logintoken.VMSName("h", "", "u"),
		"login/vms/h:1/t/u":       logintoken.VMSName("h:1", "t", "u"),
		"login/vault/h/-/ldap":    logintoken.VaultName("h", "", "ldap/"),
		"login/vault/h/a%2Fb/jwt": logintoken.VaultName("h", "/a/b/", "jwt"),
		"login/vault/h/a/b%2Fjwt": logintoken.VaultName("h", "a", "b/jwt"),
		"login/vms/h/%2D/u%25":    logintoken.VMSName("h", "-", "u%"),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	name := logintoken.VMSName("v", "", "u")
	for what, raw := range map[string]string{
		"nothing":        ``,
		"no JSON":        `canary`,
		"another type":   `{"version":1,"kind":"vms","address":5,"access":"canary"}`,
		"no version":     `{"kind":"vms","address":"v","user":"u","access":"canary"}`,
		"no token":       `{"version":1,"kind":"vms","address":"v","user":"u"}`,
		"unknown kind":   `{"version":1,"kind":"s3","address":"v","user":"u","access":"canary"}`,
		"newer":          `{"version":2,"kind":"vms","address":"v","user":"u","access":"canary"}`,
		"newer shape":    `{"version":2,"address":{"a":"canary"}}`,
		"unknown member": `{"version":1,"kind":"vms","address":"v","user":"u","access":"canary","canary":1}`,
		"another server": `{"version":1,"kind":"vms","address":"w","user":"u","access":"canary"}`,
		"another kind":   `{"version":1,"kind":"vault","address":"v","mount":"u","access":"canary"}`,
	} {
		_, err := logintoken.Decode(name, []byte(raw))
		if !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), name) || failure.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: the error quotes the item: %v", what, err)
		}
		if newer := strings.HasPrefix(what, "newer") || what == "unknown member"; newer != strings.Contains(fmt.Sprint(err), "newer valetkey") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestValid(t *testing.T) {
	it := golden["vms"]
	if !it.Valid(at) || it.Valid(it.Expires) || !golden["least"].Valid(at) || (logintoken.Item{}).Valid(at) {
		t.Error("expiry is judged wrongly")
	}
}

func FuzzDecode(f *testing.F) {
	for _, it := range golden {
		raw, _ := it.Encode()
		f.Add(it.Name(), raw)
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		it, err := logintoken.Decode(name, raw)
		if err != nil {
			return
		}
		again, err := it.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := logintoken.Decode(it.Name(), again); err != nil {
			t.Fatalf("%q does not survive: %v", raw, err)
		}
	})
}

func ExampleDecode() {
	it := logintoken.Item{Kind: logintoken.VMS, Address: "vms.example.com", User: "alice", Access: secret.FromString("jwt")}
	raw, _ := it.Encode()
	back, err := logintoken.Decode("login/vms/vms.example.com/-/alice", raw)
	fmt.Println(back.User, back.Access, err)
	_, err = logintoken.Decode("login/vms/elsewhere.example.com/-/alice", raw)
	fmt.Println(failure.KindOf(err))
	// Output:
	// alice [redacted] <nil>
	// store
}
