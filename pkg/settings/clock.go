package settings

import (
	"io"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Clock returns the clock that valetkey goes by. It is the machine's, except in
// a sandbox: there the file `clock` in VALETKEY_SANDBOX_DIR may hold an offset
// such as +25h, which is read anew at every call. The offset counts only while
// the variable is set and every configured address is a loopback one, so that a
// left-over variable cannot move the clock of real work.
func (s *Settings) Clock() func() time.Time {
	dir := s.getenv("VALETKEY_SANDBOX_DIR")
	if dir == "" || !s.allLoopback() {
		return time.Now
	}
	path := filepath.Join(dir, "clock")
	return func() time.Time { return time.Now().Add(offset(path)) }
}

// offset reads the file; one that is missing or makes no sense is no offset.
func offset(path string) time.Duration {
	f, err := openFile(path)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	const limit = 64
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil || len(text) > limit {
		return 0
	}
	d, err := ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return d
}

func (s *Settings) allLoopback() bool {
	for _, row := range table {
		if row.Kind != Address {
			continue
		}
		v, err := s.Lookup(row.Name)
		if err != nil || !v.IsEmpty() && !isLoopback(v.Text()) {
			return false
		}
	}
	return true
}

func isLoopback(address string) bool {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Proxy returns the proxy for a URL as HTTPS_PROXY, HTTP_PROXY and NO_PROXY
// say, in capitals or not. Loopback addresses never go through a proxy.
func (s *Settings) Proxy() func(*url.URL) (*url.URL, error) {
	either := func(name string) string {
		if v := s.getenv(name); v != "" {
			return v
		}
		return s.getenv(strings.ToLower(name))
	}
	c := httpproxy.Config{
		HTTPSProxy: either("HTTPS_PROXY"), HTTPProxy: either("HTTP_PROXY"), NoProxy: either("NO_PROXY"),
		CGI: s.getenv("REQUEST_METHOD") != "", // where HTTP_PROXY is a header of the caller
	}
	// A proxy that cannot be read must not mean a connection without one.
	for name, value := range map[string]string{"HTTPS_PROXY": c.HTTPSProxy, "HTTP_PROXY": c.HTTPProxy} {
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		if u, err := url.Parse(value); value != "http://" && (err != nil || u.Host == "") {
			return func(*url.URL) (*url.URL, error) {
				// The value is not repeated: it may hold a password.
				return nil, failure.New(failure.Config, "the variable %s is not a proxy", name).WithHint("the form is http://host:port")
			}
		}
	}
	return c.ProxyFunc()
}
