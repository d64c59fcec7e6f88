package childenv_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/childenv"
	"github.com/valetkey/valetkey/pkg/secret"
)

func TestCompose(t *testing.T) {
	ends := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))
	cases := map[string]struct {
		plan childenv.Plan
		want []string
	}{
		"the zero plan passes through": {
			childenv.Plan{Base: []string{"A=1", "B=", "=C:=C:\\x", "nonsense", "", "A=2"}},
			[]string{"A=1", "B=", "=C:=C:\\x"},
		},
		"other credentials are scrubbed": {
			childenv.Plan{
				Base:        []string{"PATH=/bin", "AWS_PROFILE=p", "AWS_SECRET_ACCESS_KEY=old", "AWS_SESSION_TOKEN=old", "AWS_REGION=r"},
				Credentials: &childenv.Credentials{AccessKey: "AK", SecretKey: secret.FromString("SK")},
			},
			[]string{"PATH=/bin", "AWS_REGION=r", "AWS_ACCESS_KEY_ID=AK", "AWS_SECRET_ACCESS_KEY=SK"},
		},
		"temporary credentials say when they end": {
			childenv.Plan{Credentials: &childenv.Credentials{AccessKey: "AK", SecretKey: secret.FromString("SK"), SessionToken: secret.FromString("T"), Ends: ends}},
			[]string{"AWS_ACCESS_KEY_ID=AK", "AWS_SECRET_ACCESS_KEY=SK", "AWS_SESSION_TOKEN=T", "AWS_CREDENTIAL_EXPIRATION=2026-01-02T02:04:05Z"},
		},
		"endpoint, region and trust": {
			childenv.Plan{Base: []string{"AWS_DEFAULT_REGION=old"}, Endpoint: "https://s3", Region: "us-east-1", CAFile: "/ca"},
			[]string{"AWS_ENDPOINT_URL_S3=https://s3", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_CA_BUNDLE=/ca"},
		},
		"dropped unless kept": {
			childenv.Plan{Base: []string{"VMS_PASSWORD=x", "VAULT_TOKEN=y"}, Drop: []string{"VMS_PASSWORD", "VAULT_TOKEN"}, Keep: []string{"VAULT_TOKEN"}},
			[]string{"VAULT_TOKEN=y"},
		},
		"an endpoint counts": {
			childenv.Plan{Base: []string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", "X=1"}, Endpoint: "https://s3"},
			[]string{"X=1", "AWS_ENDPOINT_URL_S3=https://s3"},
		},
		"the last setting of a name counts": {
			childenv.Plan{Base: []string{"X=0"}, Set: []childenv.Var{{Name: "X", Value: "1"}, {Name: "X", Value: "2"}}},
			[]string{"X=2"},
		},
		"names fold on Windows": {
			childenv.Plan{Base: []string{"aws_profile=p", "Path=C:\\"}, Credentials: &childenv.Credentials{AccessKey: "AK"}, FoldCase: true},
			[]string{"Path=C:\\", "AWS_ACCESS_KEY_ID=AK", "AWS_SECRET_ACCESS_KEY="},
		},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, c.plan.Compose()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Whatever the parent has, a dropped name never reaches the child.
func TestDroppedNamesNeverPass(t *testing.T) {
	names := []string{"AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "VMS_PASSWORD", "PATH", "HOME", "=C:"}
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SliceOf(rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom(names).Draw(t, "name") + "=canary" + rapid.String().Draw(t, "value")
		})).Draw(t, "base")
		got := childenv.Plan{Base: base, Drop: []string{"VMS_PASSWORD"}, Credentials: &childenv.Credentials{AccessKey: "a", SecretKey: secret.FromString("s")}}.Compose()
		for _, entry := range got {
			for _, bad := range []string{"AWS_PROFILE=", "VMS_PASSWORD=", "AWS_SECRET_ACCESS_KEY=canary"} {
				if strings.HasPrefix(entry, bad) {
					t.Fatalf("%q passed", entry)
				}
			}
		}
		if !slices.Contains(got, "AWS_SECRET_ACCESS_KEY=s") {
			t.Fatal("the credentials are not there")
		}
	})
}
