package sandbox

import (
	"net/http"
	"slices"

	"github.com/valetkey/valetkey/pkg/sandbox/s3test"
	"github.com/valetkey/valetkey/pkg/sandbox/vaulttest"
	"github.com/valetkey/valetkey/pkg/sandbox/vmstest"
	"github.com/valetkey/valetkey/pkg/secret"
)

// halves builds the three servers. S3 asks VMS about keys and rights at every
// request, so what VMS says counts at once.
func (s *Sandbox) halves() ([]half, error) {
	vms := vmstest.New(vmstest.Options{
		Now:   s.Now,
		Users: vmstest.Residents(func(name string) string { return s.Password(name).Reveal() }),

		KeyListShape: s.keyList,
	})
	vault, err := vaulttest.New(vaulttest.Options{
		Now: s.Now, RootToken: s.people.rootToken,
		RoleID: s.people.roleID, SecretID: s.people.secretID.Reveal(),
		Users:  map[string]secret.Text{"alice": s.Password("alice")},
		Mounts: []string{"secret", "valetkey"},
	})
	if err != nil {
		return nil, err
	}
	s3, err := s3test.New(s3test.Options{
		Keys: keyFinder{vms}, Allowed: vms.Allowed, Now: s.Now, Region: region,
		Buckets: []string{"demo", "vastdb"},
	})
	if err != nil {
		return nil, err
	}
	return []half{
		{name: "vms", handler: vms, route: vms.Route, path: vms.LogPath, refuse: vmsDialect},
		{name: "vault", handler: vault, route: vault.Route, path: sentPath, refuse: vaultDialect},
		{name: "s3", handler: s3, route: s3.Route, path: sentPath, refuse: s3Dialect},
	}, nil
}

// keyFinder lets S3 look keys up in VMS.
type keyFinder struct{ vms *vmstest.Server }

// FindKey implements s3test.KeyFinder.
func (f keyFinder) FindKey(accessKey string) (sec secret.Text, user string, enabled, found bool) {
	k, found := f.vms.Key(accessKey)
	return k.Secret, k.User, k.Enabled, found
}

// sentPath is the path as it came, without the query.
func sentPath(r *http.Request) string { return r.URL.EscapedPath() }

// routeNames returns the routes of the three servers, sorted.
func routeNames() []string {
	names := slices.Concat(vmstest.Routes(), new(s3test.Server).Routes())
	if vault, err := vaulttest.New(vaulttest.Options{RootToken: secret.FromString("none")}); err == nil {
		names = append(names, vault.Routes()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
