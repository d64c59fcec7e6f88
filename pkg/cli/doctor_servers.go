package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/doctor"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/wire"
)

// visit is what one request to a server has told, whoever asks.
type visit struct {
	where          string
	date           time.Time // zero: it does not tell
	sent, received time.Time
	chains         [][]*x509.Certificate // verified; none when a pin or insecure replaces that
	err            error
}

// visitServer asks for a page that needs no login. Any answer will do.
func visitServer(ctx context.Context, client *http.Client, address string, now func() time.Time) visit {
	v := visit{where: address, sent: now()}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address+"/", nil)
	if err != nil {
		v.err = err
		return v
	}
	resp, err := client.Do(req)
	if err != nil {
		v.err = err
		return v
	}
	v.received = now()
	_ = resp.Body.Close() // a HEAD has none
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		v.date = date
	}
	if resp.TLS != nil {
		v.chains = resp.TLS.VerifiedChains
	}
	return v
}

func (d *checkup) address(group string) (settings.Value, settings.TLS, error) {
	switch group {
	case "vms":
		s, err := d.set.VMS()
		return s.Address, s.TLS, err
	case "vault":
		s, _, err := d.set.Vault()
		return s.Address, s.TLS, err
	}
	s, err := d.set.S3()
	return s.Endpoint, s.TLS, err
}

// reached reports whether a server answers, and may be asked for more.
func (d *checkup) reached(group string) bool {
	v, visited := d.visits[group]
	return visited && v.err == nil
}

func (d *checkup) checkAddress(ctx context.Context, group string) ([]doctor.Finding, error) {
	address, t, err := d.address(group)
	switch {
	case err != nil:
		return nil, nil //nolint:nilerr // the check of the settings says it
	case address.IsEmpty() && group == "vms":
		return trouble(doctor.Info, noVMSAddress()), nil
	case address.IsEmpty():
		return nil, nil
	case group == "s3" && strings.HasPrefix(address.Text(), "http://"):
		return one(doctor.Warning, "use https if the cluster offers it",
			"%s is plain http (%s): everybody on the way reads and changes the data", address.Text(), address.Source), nil
	}
	url, err := wire.NormalizeAddress(address.Text())
	if err != nil {
		return trouble(doctor.Error, failure.Annotate(err, "%s (%s)", address.Name, address.Source)), nil
	}
	options := d.transport(group, address, t)
	options.KeepRedirects = true
	client, err := wire.NewHTTP(options)
	if err != nil {
		d.visits[group] = visit{where: url.String(), err: err}
		return nil, nil // about a certificate: the check of TLS says it
	}
	defer client.CloseIdleConnections()
	v := visitServer(ctx, client, url.String(), d.clock)
	v.err = wire.Explain(options, v.err)
	d.visits[group] = v
	if v.err != nil && !aboutTLS(v.err) {
		return trouble(doctor.Error, v.err), nil
	}
	return nil, nil
}

// aboutTLS tells an error about certificates from one about the way.
func aboutTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	_, pinned := failure.DetailsOf(err)["pin_sha256"]
	return pinned || failure.Is(err, failure.Config) ||
		errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert)
}

func (d *checkup) checkTLS(group string) ([]doctor.Finding, error) {
	v, visited := d.visits[group]
	switch {
	case !visited:
		return nil, nil
	case v.err != nil && aboutTLS(v.err):
		return trouble(doctor.Error, v.err), nil
	}
	now := d.clock()
	if c, soon := doctor.Ending(v.chains, now); soon {
		const renew = "ask whoever runs the server to renew it"
		name, day := wire.Excerpt(c.Subject.String(), 100), c.NotAfter.UTC().Format(time.DateOnly)
		if !now.Before(c.NotAfter) { // while the connection was made, or by the sandbox's clock
			return one(doctor.Error, renew, "the certificate %q of %s ended on %s", name, v.where, day), nil
		}
		return one(doctor.Warning, renew, "the certificate %q of %s ends on %s, in %s", name, v.where, day, about(c.NotAfter.Sub(now))), nil
	}
	return nil, nil
}

func (d *checkup) checkClock(group string) ([]doctor.Finding, error) {
	v := d.visits[group]
	if v.date.IsZero() {
		return nil, nil
	}
	skew := doctor.Skew(v.date, v.sent, v.received)
	severity, matters := doctor.JudgeSkew(skew)
	if !matters {
		return nil, nil
	}
	how := "ahead of"
	if skew < 0 {
		how = "behind"
	}
	return one(severity, "let both be set by NTP: signatures and logins are refused when the clocks differ too much",
		"the clock of %s is %s %s this machine's", v.where, about(skew.Abs()), how), nil
}

// about is a duration in the unit that tells enough.
func about(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return count(int(d.Hours()/24), "day")
	case d >= 2*time.Hour:
		return count(int(d.Hours()), "hour")
	case d >= 2*time.Minute:
		return count(int(d.Minutes()), "minute")
	}
	return count(int(d.Seconds()), "second")
}
