package accesskey

import "strings"

// Identity is whose keys are meant: a user of a tenant of a VAST cluster. Two
// identities never share an item.
type Identity struct {
	VMS    string // normalized host, or host:port where the port is not 443
	Tenant string // empty where the login names none
	User   string
}

// Item is the name of the identity's item in a store, "host/tenant/user" with
// "-" for no tenant. A slash or percent sign within a part is percent-encoded,
// so different identities have different names.
func (id Identity) Item() string {
	tenant := segment(id.Tenant)
	switch tenant {
	case "":
		tenant = "-"
	case "-":
		tenant = "%2D"
	}
	return segment(id.VMS) + "/" + tenant + "/" + segment(id.User)
}

// String is the identity as messages show it, such as "alice at vms.example.com".
func (id Identity) String() string {
	if id.Tenant != "" {
		return id.User + " of tenant " + id.Tenant + " at " + id.VMS
	}
	return id.User + " at " + id.VMS
}

var segments = strings.NewReplacer("%", "%25", "/", "%2F")

func segment(s string) string { return segments.Replace(s) }
