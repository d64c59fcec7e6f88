package accesskey

// Identity is whose keys are meant: a user of a tenant of a VAST cluster. Two
// identities never share an item.
type Identity struct {
	VMS    string // normalized host, or host:port where the port is not 443
	Tenant string // empty where the login names none
	User   string
}

// Item is the name of the identity's item in a store, "host/tenant/user" with
// "-" for no tenant. Names are taken as they are; a store keeps them apart
// whatever characters they have.
func (id Identity) Item() string {
	tenant := id.Tenant
	if tenant == "" {
		tenant = "-"
	}
	return id.VMS + "/" + tenant + "/" + id.User
}

// String is the identity as messages show it.
func (id Identity) String() string { return id.Item() }
