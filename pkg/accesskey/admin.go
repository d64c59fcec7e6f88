package accesskey

import (
	"context"
	"strconv"
	"strings"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Who is how an administrator names a user: by name, with the place where the
// name counts if that is needed, or by a number that no other user has.
type Who struct {
	Name      string
	Local     bool // a name of a user made on the cluster
	Directory bool // a name of a user of a directory
	UID       *int64
	SID       string
}

// ParseWho reads NAME, local:NAME, directory:NAME, uid:NUMBER and sid:S-1-….
// Anything else is failure.Usage.
func ParseWho(text string) (Who, error) {
	const forms = "name a user as NAME, local:NAME, directory:NAME, uid:NUMBER or sid:S-1-…"
	form, value, qualified := strings.Cut(text, ":")
	if !qualified {
		value = text
	}
	w := Who{Name: value}
	switch {
	case !qualified:
	case form == "local":
		w.Local = true
	case form == "directory":
		w.Directory = true
	case form == "uid":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 {
			return Who{}, failure.New(failure.Usage, "user %q: %q is not a uid", text, value).WithHint(forms)
		}
		return Who{UID: &n}, nil
	case form == "sid":
		if !strings.HasPrefix(value, "S-") {
			return Who{}, failure.New(failure.Usage, "user %q: %q is not a sid", text, value).WithHint(forms)
		}
		return Who{SID: value}, nil
	default:
		return Who{}, failure.New(failure.Usage, "user %q: there is no form %q", text, form).WithHint(forms)
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Who{}, failure.New(failure.Usage, "user %q is no user", text).WithHint(forms)
	}
	return w, nil
}

// IsName reports whether the user is named by nothing but a name.
func (w Who) IsName() bool { return w.Name != "" && !w.Local && !w.Directory }

// String is the form that [ParseWho] reads.
func (w Who) String() string {
	switch {
	case w.UID != nil:
		return "uid:" + strconv.FormatInt(*w.UID, 10)
	case w.SID != "":
		return "sid:" + w.SID
	case w.Local:
		return "local:" + w.Name
	case w.Directory:
		return "directory:" + w.Name
	}
	return w.Name
}

// User is a user of the cluster as far as it takes to find their keys.
type User struct {
	Name string
	ID   int64 // of a local user; others have none
	UID  *int64
	SID  string
	// Provider says where the user is known: "local", or the directory.
	Provider string
}

// Local reports whether the user was made on the cluster.
func (u User) Local() bool { return u.ID != 0 }

// who names the user so that no other is meant.
func (u User) who() Who {
	switch {
	case u.UID != nil:
		return Who{UID: u.UID}
	case u.SID != "":
		return Who{SID: u.SID}
	}
	return Who{Name: u.Name, Local: u.Local(), Directory: !u.Local()}
}

// Same reports whether both are one user.
func (u User) Same(other User) bool {
	if u.Local() || other.Local() {
		return u.ID == other.ID
	}
	if u.UID != nil && other.UID != nil {
		return *u.UID == *other.UID
	}
	return u.SID == other.SID && u.Name == other.Name
}

// Users finds users. Nobody is an empty list; an error means that it could not
// be asked.
type Users interface {
	// LocalUsers finds those who were made on the cluster.
	LocalUsers(ctx context.Context, w Who) ([]User, error)
	// DirectoryUsers finds those of Active Directory, LDAP and NIS.
	DirectoryUsers(ctx context.Context, w Who) ([]User, error)
}

// Resolve finds the one user who is meant, and what they are known by in a
// store: their name where it means nobody else, and else the form in which they
// were named, so that two users never share an item. Nobody is
// failure.NotFound, several are failure.Usage.
func Resolve(ctx context.Context, users Users, w Who) (User, string, error) {
	u, err := only(ctx, users, w)
	if err != nil {
		return User{}, "", err
	}
	switch {
	case !w.IsName():
		named, err := only(ctx, users, Who{Name: u.Name})
		if err == nil && named.Same(u) {
			return u, u.Name, nil
		}
		if err != nil && !failure.Is(err, failure.Usage) && !failure.Is(err, failure.NotFound) {
			return User{}, "", err
		}
		return u, w.String(), nil
	case u.Name != w.Name:
		return User{}, "", failure.New(failure.Usage, "VMS knows user %s as %q", w, u.Name).
			WithHint("name them so: keys are stored under that name")
	}
	return u, u.Name, nil
}

// only finds the one user who fits.
func only(ctx context.Context, users Users, w Who) (User, error) {
	var found []User
	for _, place := range []struct {
		skip bool
		find func(context.Context, Who) ([]User, error)
	}{{w.Directory, users.LocalUsers}, {w.Local, users.DirectoryUsers}} {
		if place.skip {
			continue
		}
		list, err := place.find(ctx, w)
		if err != nil {
			return User{}, err
		}
		found = append(found, list...)
	}
	switch len(found) {
	case 0:
		return User{}, failure.New(failure.NotFound, "VMS knows no user %s", w).
			WithHint("it was looked for among the users made on the cluster and in its directories; uid:NUMBER or sid:S-1-… names one whose name differs there")
	case 1:
		return found[0], nil
	}
	return User{}, ambiguous(w, found)
}

func ambiguous(w Who, found []User) error {
	var places, forms []string
	local := 0
	for _, u := range found {
		places = append(places, u.Provider)
		if u.Local() {
			local++
		}
	}
	for _, u := range found {
		form := u.who()
		// A form that says where is easier to read, where it suffices.
		if u.Local() && local == 1 || !u.Local() && len(found)-local == 1 {
			form = Who{Name: u.Name, Local: u.Local(), Directory: !u.Local()}
		}
		if form.String() != w.String() {
			forms = append(forms, form.String())
		}
	}
	return failure.New(failure.Usage, "user %s may be %d users (%s)", w, len(found), strings.Join(places, ", ")).
		WithHint("name one of them: %s", strings.Join(forms, " or "))
}

// SetEnabled enables or disables a key at VMS, which takes effect at once and
// can be undone, and notes it in the store. A key that is in that state already
// stays so. A key that VMS does not know is failure.NotFound; who may not do
// this gets failure.Forbidden.
func (s *Service) SetEnabled(ctx context.Context, id string, enabled bool) (Key, error) {
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return Key{}, err
	}
	sw, ok := vms.(Switch)
	if !ok {
		return Key{}, failure.New(failure.Forbidden, "VMS lets nobody enable or disable their own keys")
	}
	key, err := s.Show(ctx, id, false)
	if err != nil {
		return Key{}, err
	}
	if err := sw.SetKeyEnabled(ctx, id, enabled); err != nil {
		return Key{}, err
	}
	key.Enabled = enabled
	if !key.Stored {
		return key, nil
	}
	_, err = s.d.Coordinator.Update(ctx, func(it Item) (Item, error) { return it.MarkEnabled(id, enabled), nil })
	return key, failureOf(err, "access key %s is switched at VMS, but this could not be noted in the store", id)
}
