package typo_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/typo"
)

func TestNearest(t *testing.T) {
	known := []string{"vms.address", "vms.username", "keys", "config", "configure", "db", "x"}
	for word, want := range map[string]string{
		"vms.adress": "vms.address", "VMS.ADDRESS": "vms.address", "address": "vms.address",
		"kesy": "keys", "confgi": "config", "configur": "configure",
		"": "", "completely-different": "", "zz": "", "y": "",
	} {
		if got := typo.Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if typo.Nearest("x", nil) != "" {
		t.Error("something is near among nothing")
	}
}

// One slip is always forgiven in a word of some length.
func TestOneSlip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z]{6,20}`).Draw(t, "word")
		i := rapid.IntRange(0, len(word)-1).Draw(t, "at")
		if got := typo.Nearest(word[:i]+word[i+1:], []string{word}); got != word {
			t.Fatalf("%q without letter %d is near %q", word, i, got)
		}
	})
}
