package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// errNeverSent marks an error that came before the first byte of the request.
var errNeverSent = errors.New("the request was never sent")

// NeverSent reports whether err shows that no byte of the request left: there
// was no address, no connection, no handshake or no proxy. It is false whenever
// the request may have arrived, so that a lost answer never counts. It works on
// errors of a client of [NewHTTP], explained or not.
func NeverSent(err error) bool { return errors.Is(err, errNeverSent) }

// proxyError is a proxy that would not make the connection.
type proxyError struct {
	proxy, reason string
	status        int
}

func (e *proxyError) Error() string {
	if e.proxy == "" {
		return "the proxy cannot be used: " + e.reason
	}
	return "the proxy " + e.proxy + " refused the connection: " + e.reason
}

// cause carries the error of the transport without its text: the message has
// said it better, and the text may hold a URL.
type cause struct {
	text string
	err  error
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.err }

// Explain turns an error of a client of [NewHTTP], or of reading its answer,
// into one a person can act on: failure.Network, or failure.Cancelled for a
// cancelled context. A nil error stays nil, and a classified one is kept. The
// original stays in the chain for errors.Is, errors.As and [NeverSent].
func Explain(o Options, err error) error {
	if err == nil {
		return nil
	}
	var known *failure.Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, context.Canceled) {
		return failure.Wrap(failure.Cancelled, &cause{"interrupted", err}, "ask %s", o.where())
	}
	if f := explainTLS(o, err); f != nil {
		return f
	}
	return explainNet(o, err)
}

// network is a failure.Network with the text as its whole message.
func network(err error, format string, args ...any) *failure.Error {
	return &failure.Error{Kind: failure.Network, Err: &cause{fmt.Sprintf(format, args...), err}}
}

func explainNet(o Options, err error) error {
	var (
		dns   *net.DNSError
		proxy *proxyError
		op    *net.OpError
		timed net.Error
		at    = o.where()
		addr  = o.setting("address", o.Address)
	)
	through := ""
	switch {
	case errors.As(err, &proxy):
		f := network(err, "reach %s: %s", at, proxy.Error()).WithHint("check HTTPS_PROXY and NO_PROXY")
		if proxy.status == 407 {
			f.Hint = "the proxy wants a user name and password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
		}
		return f
	case errors.As(err, &op) && op.Op == "proxyconnect":
		through, addr = " through the proxy", "HTTPS_PROXY and NO_PROXY"
	}
	switch {
	case errors.As(err, &dns) && !dns.Timeout():
		return network(err, "reach %s%s: no such host \"%s\"", at, through, Visible(dns.Name)).WithHint("check %s", addr)
	case isRefused(err):
		return network(err, "reach %s%s: connection refused", at, through).WithHint("is the server running there? check %s", addr)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timed) && timed.Timeout():
		return network(err, "no answer from %s%s in time", at, through).WithHint("check %s, or give it longer with --timeout", addr)
	case isReset(err), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return network(err, "the connection to %s%s was lost before its answer was complete", at, through)
	}
	if strings.Contains(err.Error(), "malformed ") {
		// The text would repeat what the server sent, which may be what it was sent.
		return network(err, "%s%s answers with something that is not HTTP", at, through).WithHint("check %s", addr)
	}
	return network(err, "reach %s%s: %s", at, through, innermost(err)).WithHint("check %s", addr)
}

func explainTLS(o Options, err error) error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		pinned   *pinError
		record   tls.RecordHeaderError
		remote   *net.OpError
		at       = o.where()
	)
	ca := o.setting("ca_file", o.CAFile)
	switch {
	case errors.As(err, &pinned):
		return network(err, "the certificate of %s is not the pinned one: its public key is %s", at, pinned.seen).
			WithHint("if the server's key was changed on purpose, set %s anew", o.setting("pin_sha256", o.PinSHA256)).
			WithDetail("pin_sha256", pinned.seen.String())
	case errors.As(err, &unknown):
		signer := ""
		if unknown.Cert != nil {
			signer = fmt.Sprintf(" (signed by unknown authority \"%s\")", Excerpt(unknown.Cert.Issuer.String(), 200))
		}
		f := network(err, "the certificate of %s is not trusted%s", at, signer)
		if o.CAFile.set() {
			f.Hint = ca + " does not hold the authority that signed it"
		} else {
			f.Hint = "set " + ca + " to a file with the authority's certificate"
		}
		return withSeenPin(f, err)
	case errors.As(err, &hostname):
		f := network(err, "the certificate of %s is for another name (%s), not \"%s\"", at, namesOf(hostname.Certificate), Visible(hostname.Host))
		if o.ServerName.set() {
			f.Hint = "check " + o.setting("server_name", o.ServerName)
		} else {
			f.Hint = "check " + o.setting("address", o.Address) + ", or set " + o.setting("server_name", o.ServerName) + " to a name in the certificate"
		}
		return f
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return network(err, "the certificate of %s has expired or is not valid yet (valid %s to %s)", at,
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339)).
			WithHint("renew the server's certificate, or check the clock of this machine")
	case errors.As(err, &verify):
		return withSeenPin(network(err, "the certificate of %s is not acceptable: %s", at, innermost(verify.Err)).
			WithHint("check %s", ca), err)
	case errors.As(err, &record):
		return network(err, "%s does not speak TLS", at).WithHint("check the port in %s", o.setting("address", o.Address))
	case errors.As(err, &remote) && remote.Op == "remote error": // how crypto/tls marks the other side's alert
		if strings.Contains(remote.Err.Error(), "protocol version") { // the alert's type is not exported
			return network(err, "%s speaks no TLS version that is safe", at).WithHint("valetkey wants TLS 1.2 or later")
		}
		return network(err, "%s broke off the TLS handshake: %s", at, innermost(remote.Err)).
			WithHint("if the server wants a client certificate, set %s and %s",
				o.setting("client_cert", o.ClientCert), o.setting("client_key", o.ClientKey))
	}
	return nil
}

// withSeenPin adds the server's pin as a detail: what an administrator on the
// other side can compare, and a machine can offer to store.
func withSeenPin(f *failure.Error, err error) error {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
		return f.WithDetail("pin_sha256", pinOf(verify.UnverifiedCertificates[0]).String())
	}
	return f
}

func namesOf(cert *x509.Certificate) string {
	if cert == nil {
		return "none"
	}
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && cert.Subject.CommonName != "" {
		names = append(names, cert.Subject.CommonName)
	}
	if len(names) == 0 {
		return "none"
	}
	return Excerpt(strings.Join(names, ", "), 200)
}

// innermost is the text of err below the layers that repeat the URL.
func innermost(err error) string {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return Excerpt(err.Error(), 300)
}

func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || isErrno(err, wsaConnRefused)
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || isErrno(err, wsaConnReset)
}

// Windows reports sockets with numbers of its own; elsewhere no error has them.
const (
	wsaConnReset   = syscall.Errno(10054)
	wsaConnRefused = syscall.Errno(10061)
)

func isErrno(err error, n syscall.Errno) bool {
	var e syscall.Errno
	return errors.As(err, &e) && e == n
}
