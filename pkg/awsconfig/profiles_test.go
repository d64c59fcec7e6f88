package awsconfig_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/awsconfig"
)

func TestProfiles(t *testing.T) {
	file := "# [profile no]\n[default]\na = [x]\n[profile b]\n[profile \"c d\"]\r\n[sso-session s]\n[plain]\n[profile b]\n[broken\n"
	if diff := cmp.Diff([]string{"default", "b", "c d"}, awsconfig.Profiles([]byte(file))); diff != "" {
		t.Error(diff)
	}
	if got := awsconfig.Profiles(nil); got != nil {
		t.Errorf("an empty file: %q", got)
	}
}
