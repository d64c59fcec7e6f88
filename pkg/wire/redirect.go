package wire

import (
	"errors"
	"net/http"
	"net/url"
)

// redirects reports whether the status sends the caller elsewhere. 304 is an
// answer to a condition, and 300 without a Location an answer too, but none of
// our servers sends that one for a reason.
func redirects(status int) bool {
	return status >= 300 && status < 400 && status != http.StatusNotModified
}

// refuseRedirect says where the server pointed to: scheme and host alone, since
// the rest of a location may carry a token.
func refuseRedirect(from *url.URL, answer *http.Response) error {
	target := "an unreadable address"
	if location := answer.Header.Get("Location"); location == "" {
		target = "no address at all"
	} else if to, err := from.Parse(location); err == nil && to.Host != "" {
		target = origin(to)
	}
	return network(errRedirect, "%s answered %d, a redirect to %s; it was not followed and no credentials were sent there",
		origin(from), answer.StatusCode, target).
		WithHint("check the address: it must be that of the server itself, not of a page or gateway in front of it")
}

var errRedirect = errors.New("refused redirect")

// Redirected reports whether err is a refused redirect: the server has answered,
// and by its answer did nothing.
func Redirected(err error) bool { return errors.Is(err, errRedirect) }
