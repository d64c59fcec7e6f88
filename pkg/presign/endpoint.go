package presign

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/valetkey/valetkey/pkg/failure"
)

// base is where the URLs of a signer point to.
type base struct {
	scheme  string
	host    string // lower case, without a default port
	path    string // escaped, without a slash at its end
	virtual bool
}

// parseBase checks a configuration apart from its credentials.
func parseBase(c Config) (base, error) {
	b, err := parseEndpoint(c.Endpoint)
	if err != nil {
		return base{}, err
	}
	if c.Region == "" {
		return base{}, failure.New(failure.Config, "no region to sign for").WithHint("us-east-1 is what most servers take")
	}
	for i := 0; i < len(c.Region); i++ {
		if !unreserved(c.Region[i]) {
			return base{}, failure.New(failure.Config, "region %q is no name of a region", c.Region).WithHint("such as us-east-1")
		}
	}
	switch c.Addressing {
	case Path:
	case Virtual:
		b.virtual = true
		if _, err := netip.ParseAddr(hostname(b.host)); err == nil {
			return base{}, failure.New(failure.Config, "virtual addressing puts the bucket before the host, which cannot be done with the IP address %s", b.host).
				WithHint("use path addressing, or a host name")
		}
	default:
		return base{}, failure.New(failure.Config, "addressing %q is unknown", string(c.Addressing)).WithHint("it is path or virtual")
	}
	return b, nil
}

// parseEndpoint never quotes an endpoint that may hold a password.
func parseEndpoint(endpoint string) (base, error) {
	if endpoint == "" {
		return base{}, failure.New(failure.Usage, "no S3 endpoint to sign for").WithHint("such as https://s3.example.com")
	}
	shown := strconv.Quote(endpoint)
	if strings.Contains(endpoint, "@") {
		shown = "[redacted]"
	}
	bad := func(why string) error {
		return failure.New(failure.Config, "S3 endpoint %s %s", shown, why).WithHint("such as https://s3.example.com or http://10.0.0.1:9000")
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return base{}, bad("is no URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return base{}, bad("does not begin with https:// or http://")
	case u.Host == "" || u.Opaque != "":
		return base{}, bad("has no host")
	case u.User != nil:
		return base{}, bad("holds credentials, which have no place in it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(endpoint, "#"):
		return base{}, bad("has something behind its path")
	case hasControl(u.Path):
		return base{}, bad("has a control character in its path")
	}
	host, ok := canonicalHost(u)
	if !ok {
		return base{}, bad("has a host that no URL can carry")
	}
	path := appendEscaped(nil, strings.TrimRight(u.Path, "/"), true)
	return base{scheme: u.Scheme, host: host, path: string(path)}, nil
}

// canonicalHost returns the host as clients send it: in lower case, the port
// only if the scheme does not imply it.
func canonicalHost(u *url.URL) (string, bool) {
	host := strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		if addr.Zone() != "" {
			return "", false // a zone means something on one machine only
		}
		host = "[" + host + "]"
	} else {
		for i := 0; i < len(host); i++ {
			if !unreserved(host[i]) || host[i] == '~' {
				return "", false // names in other scripts are written as xn--
			}
		}
	}
	if host == "" {
		return "", false
	}
	if u.Port() == "" {
		return host, true
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return "", false
	}
	if u.Scheme == "https" && port == 443 || u.Scheme == "http" && port == 80 {
		return host, true
	}
	return host + ":" + strconv.FormatUint(port, 10), true
}

// hostname is the host without port and brackets.
func hostname(host string) string {
	u := url.URL{Host: host}
	return u.Hostname()
}
