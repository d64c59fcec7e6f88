package durable_test

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/durable"
)

var hostileNames = []string{
	"..", "/", "../../etc/passwd", `..\..\x`, `C:\x`, "con", "NUL", "a/b", "a%2fb", "Alice", "alice", "é", "e\u0301",
	"x.", "x ", "~", "item-a", strings.Repeat("n", 125), strings.Repeat("n", 126), strings.Repeat("Ü", 100),
}

func TestSafeNamesAreSafeAndDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(rapid.StringN(1, 300, 600), rapid.SampledFrom(hostileNames)).Draw(t, "a")
		b := rapid.OneOf(rapid.StringN(1, 300, 600), rapid.SampledFrom(hostileNames)).Draw(t, "b")
		if n := durable.SafeName(a); n != filepath.Base(n) || strings.ToLower(n) != n || len(n) > 139 || strings.ContainsAny(n, `<>:"/\|?* `) || !strings.HasPrefix(n, "item-") {
			t.Fatalf("unsafe name %q", n)
		}
		if a != b && strings.EqualFold(durable.SafeName(a), durable.SafeName(b)) {
			t.Fatalf("%q and %q share a file", a, b)
		}
	})
}

// Existing stores depend on these names.
func TestSafeNamesAreFrozen(t *testing.T) {
	for item, want := range map[string]string{
		"vms.example.com/-/alice":        "item-vms.example.com%2f-%2falice",
		`10.0.0.1:8443/t1/CORP\Alice`:    "item-10.0.0.1%3a8443%2ft1%2f%43%4f%52%50%5c%41lice",
		strings.Repeat("x", 126):         "item-" + strings.Repeat("x", 60) + "~" + "19981abaa977c9ab097c239adda74b220f06b1eb938bfec39c8361b1a1adcbbf",
		"login/vault/vault.corp/-/ldap/": "item-login%2fvault%2fvault.corp%2f-%2fldap%2f",
	} {
		if got := durable.SafeName(item); got != want {
			t.Errorf("%q is in %s, want %s", item, got, want)
		}
	}
}

func TestMachineID(t *testing.T) {
	first, err := durable.MachineID()
	if err != nil {
		t.Fatal(err)
	}
	second, _ := durable.MachineID()
	if len(first) != 32 || strings.Trim(first, "0123456789abcdef") != "" || first != second {
		t.Errorf("ids %q and %q", first, second)
	}
}
