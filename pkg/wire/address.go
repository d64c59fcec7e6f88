package wire

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/valetkey/valetkey/pkg/failure"
)

// NormalizeAddress turns a host, host:port or https URL into https://host[:port]:
// host in lower case, the default port dropped, nothing else. Anything more, and
// plain http, is failure.Config. User information in the address is never
// repeated in the error.
func NormalizeAddress(raw string) (*url.URL, error) {
	text := strings.TrimSpace(raw)
	if text == "" {
		return nil, failure.New(failure.Config, "the address is empty").WithHint("give a host, host:port or https URL")
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		rest = text
	} else if !strings.EqualFold(scheme, "https") {
		if strings.EqualFold(scheme, "http") {
			return nil, failure.New(failure.Config, "the address begins with http://, which would send credentials unencrypted").
				WithHint("use https://, or a host name alone")
		}
		return nil, badAddress("its scheme is not https")
	}
	if strings.Contains(rest, "@") {
		return nil, badAddress("it holds a user name or password").WithHint("user name and password are settings of their own")
	}
	authority := strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(authority, "/?#\\") {
		return nil, badAddress("\"%s\" has a path, query or fragment", Visible(rest)).WithHint("give a host, host:port or https URL without a path")
	}
	host, port, err := splitHostPort(authority)
	if err != nil {
		return nil, err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && port != "443" {
		host += ":" + port
	}
	return &url.URL{Scheme: "https", Host: host}, nil
}

func splitHostPort(authority string) (host, port string, err error) {
	// A bare IPv6 address has colons but no port.
	if ip, err := netip.ParseAddr(authority); err == nil && ip.Zone() == "" {
		return ip.String(), "", nil
	}
	host = authority
	if strings.HasPrefix(authority, "[") && strings.HasSuffix(authority, "]") {
		host = authority[1 : len(authority)-1]
	} else if strings.Contains(authority, ":") {
		if host, port, err = net.SplitHostPort(authority); err != nil {
			return "", "", badAddress("\"%s\" is not host:port", Visible(authority))
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", "", badAddress("\"%s\" is not a port", Visible(port))
		}
		port = strconv.FormatUint(n, 10)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return ip.String(), port, nil
	}
	if strings.HasPrefix(authority, "[") || !isHostName(host) {
		return "", "", badAddress("\"%s\" is not a host name or IP address", Visible(host))
	}
	return strings.ToLower(host), port, nil
}

// isHostName accepts what resolvers do, the underscore of many lab networks
// included. International names must come in their ASCII form.
func isHostName(host string) bool {
	if host == "" || len(host) > 253 || strings.Contains(host, "..") || strings.HasPrefix(host, ".") {
		return false
	}
	for _, c := range []byte(host) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

func badAddress(format string, args ...any) *failure.Error {
	return failure.New(failure.Config, "the address is not usable: "+format, args...).
		WithHint("give a host, host:port or https URL")
}

// origin is scheme and host of a URL: all of it that may be shown.
func origin(u *url.URL) string { return Visible(u.Scheme + "://" + u.Host) }
