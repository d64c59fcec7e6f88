package s3test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm    = "AWS4-HMAC-SHA256"
	dateFormat   = "20060102T150405Z"
	maxSkew      = 15 * time.Minute
	maxExpires   = 604800 // seconds, seven days
	maxSigned    = 64     // signed headers a request may name
	maxAuthValue = 8 << 10
)

// claim is what a request says about its signature, not yet believed.
type claim struct {
	presigned bool
	accessKey string
	date      string // of the credential scope, yyyymmdd
	region    string
	signed    []string // header names, lower case, sorted
	signature string
	stamp     string        // the date the request is signed with
	at        time.Time     // stamp as a time
	expires   time.Duration // presigned only
}

func (c *claim) scope() string { return c.date + "/" + c.region + "/s3/aws4_request" }

// malformed is the error of a credential that cannot be used, which S3 names
// after the place it stands in.
func (c *claim) malformed(message string) *apiError {
	if c.presigned {
		return errAuthQuery.saying("Error parsing the X-Amz-Credential parameter; " + message)
	}
	return errAuthHeader.saying("The authorization header is malformed; " + message)
}

// parseClaim reads the signature from the header or from the query.
func parseClaim(r *http.Request, t *target, region string) (*claim, *apiError) {
	headers := r.Header.Values("Authorization")
	inQuery := t.has("X-Amz-Algorithm") || t.has("X-Amz-Signature") || t.has("X-Amz-Credential")
	oldQuery := t.has("AWSAccessKeyId") && t.has("Signature")
	switch {
	case len(headers) > 1, len(headers) == 1 && (inQuery || oldQuery):
		return nil, errTwoAuths
	case len(headers) == 1:
		return parseHeaderClaim(headers[0], r, region)
	case inQuery:
		return parseQueryClaim(t, region)
	case oldQuery:
		return nil, errUnsupportedAuth
	}
	return nil, errAccessDenied
}

func parseHeaderClaim(value string, r *http.Request, region string) (*claim, *apiError) {
	c, err := parseAuthorization(value)
	if err != nil {
		return nil, err
	}
	dates := r.Header.Values("X-Amz-Date")
	switch {
	case len(dates) > 1:
		return nil, errAccessDenied.saying("AWS authentication requires a valid Date or x-amz-date header")
	case len(dates) == 1:
		c.stamp = dates[0]
	default: // the HTTP date serves where x-amz-date is missing
		at, err := http.ParseTime(r.Header.Get("Date"))
		if err != nil {
			return nil, errAccessDenied.saying("AWS authentication requires a valid Date or x-amz-date header")
		}
		c.stamp = at.UTC().Format(dateFormat)
	}
	if c.at, err = parseStamp(c.stamp); err != nil {
		return nil, errAccessDenied.saying("AWS authentication requires a valid Date or x-amz-date header")
	}
	return c, c.checkScope(region)
}

// parseAuthorization reads the members of an Authorization header. It checks
// their form alone.
func parseAuthorization(value string) (*claim, *apiError) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	if scheme != algorithm {
		if scheme == "AWS" || strings.HasPrefix(scheme, "AWS4-") {
			return nil, errUnsupportedAuth
		}
		return nil, errInvalidArgument.saying("Unsupported Authorization Type")
	}
	if len(rest) > maxAuthValue {
		return nil, errAuthHeader
	}
	c := &claim{}
	members := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := members[name]; !ok || twice {
			return nil, errAuthHeader.saying("The authorization header is malformed; a member is no NAME=VALUE or stands twice.")
		}
		members[name] = v
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if members[name] == "" {
			return nil, errAuthHeader.saying("The authorization header is malformed; " + name + " is missing.")
		}
	}
	if len(members) != 3 {
		return nil, errAuthHeader.saying("The authorization header is malformed; it has a member that is none of Credential, SignedHeaders, Signature.")
	}
	return c, c.fill(members["Credential"], members["SignedHeaders"], members["Signature"])
}

func parseQueryClaim(t *target, region string) (*claim, *apiError) {
	c := &claim{presigned: true}
	values := map[string]string{}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		for _, p := range t.query {
			if !strings.EqualFold(p.name, name) {
				continue
			}
			if _, twice := values[name]; twice || p.name != name || len(p.value) > maxAuthValue {
				return nil, errAuthQuery
			}
			values[name] = p.value
		}
		if values[name] == "" {
			return nil, errAuthQuery
		}
	}
	if values["X-Amz-Algorithm"] != algorithm {
		return nil, errAuthQuery.saying("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\" in this sandbox")
	}
	seconds, perr := strconv.ParseInt(values["X-Amz-Expires"], 10, 64)
	switch {
	case perr != nil || strings.HasPrefix(values["X-Amz-Expires"], "+"):
		return nil, errAuthQuery.saying("X-Amz-Expires should be a number")
	case seconds < 1:
		return nil, errAuthQuery.saying("X-Amz-Expires must be at least 1 second")
	case seconds > maxExpires:
		return nil, errAuthQuery.saying("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	c.expires = time.Duration(seconds) * time.Second
	if err := c.fill(values["X-Amz-Credential"], values["X-Amz-SignedHeaders"], values["X-Amz-Signature"]); err != nil {
		return nil, err
	}
	c.stamp = values["X-Amz-Date"]
	var err *apiError
	if c.at, err = parseStamp(c.stamp); err != nil {
		return nil, errAuthQuery.saying("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	return c, c.checkScope(region)
}

func parseStamp(s string) (time.Time, *apiError) {
	at, err := time.Parse(dateFormat, s)
	if err != nil || at.Format(dateFormat) != s {
		return time.Time{}, errInvalidArgument
	}
	return at, nil
}

// fill takes the credential apart. An access key may itself hold slashes, so
// the scope is counted from the end.
func (c *claim) fill(credential, signedHeaders, signature string) *apiError {
	fields := strings.Split(credential, "/")
	if len(fields) < 5 {
		return c.malformed("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	n := len(fields) - 4
	c.accessKey = strings.Join(fields[:n], "/")
	c.date, c.region = fields[n], fields[n+1]
	if c.accessKey == "" {
		return c.malformed("the access key is missing.")
	}
	if _, err := time.Parse("20060102", c.date); err != nil || len(c.date) != 8 {
		return c.malformed("incorrect date format \"" + c.date + "\". This date in the credential must be in the format \"yyyyMMdd\".")
	}
	if fields[n+2] != "s3" {
		return c.malformed("incorrect service \"" + fields[n+2] + "\". This endpoint belongs to \"s3\".")
	}
	if fields[n+3] != "aws4_request" {
		return c.malformed("incorrect terminal \"" + fields[n+3] + "\". This endpoint uses \"aws4_request\".")
	}
	c.signed = strings.Split(signedHeaders, ";")
	slices.Sort(c.signed)
	for i, name := range c.signed {
		if name == "" || name != strings.ToLower(name) || i > 0 && c.signed[i-1] == name || i >= maxSigned {
			return c.malformed("the list of signed headers is mal-formed.")
		}
	}
	c.signature = signature
	return nil
}

func (c *claim) checkScope(region string) *apiError {
	if c.region != region {
		return c.malformed("the region '"+c.region+"' is wrong; expecting '"+region+"'").with("Region", region)
	}
	if c.date != c.stamp[:8] {
		return c.malformed("Invalid credential date \"" + c.date + "\". This date is not the same as X-Amz-Date: \"" + c.stamp[:8] + "\".")
	}
	return nil
}

// checkTime holds the claim against the clock.
func (c *claim) checkTime(now time.Time) *apiError {
	if c.presigned {
		switch {
		case c.at.After(now.Add(maxSkew)):
			return errRequestNotYetValid.with("X-Amz-Date", c.stamp).with("ServerTime", now.UTC().Format(time.RFC3339))
		case now.After(c.at.Add(c.expires)):
			return errRequestExpired.
				with("X-Amz-Expires", strconv.FormatInt(int64(c.expires/time.Second), 10)).
				with("Expires", c.at.Add(c.expires).Format(time.RFC3339)).
				with("ServerTime", now.UTC().Format(time.RFC3339))
		}
		return nil
	}
	if skew := now.Sub(c.at); skew > maxSkew || skew < -maxSkew {
		return errTimeTooSkewed.
			with("RequestTime", c.stamp).
			with("ServerTime", now.UTC().Format(time.RFC3339)).
			with("MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10))
	}
	return nil
}
