package presign_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/secret"
)

const none = failure.Kind(-1) // no error

// wantKind checks that an error is of a kind and fit to be shown: one line, with
// its hint, and without the secret.
func wantKind(t *testing.T, name string, err error, kind failure.Kind) {
	t.Helper()
	switch {
	case kind == none && err != nil:
		t.Errorf("%s: %v", name, err)
	case kind != none && !failure.Is(err, kind):
		t.Errorf("%s: %v (%v), want %v", name, err, failure.KindOf(err), kind)
	case err != nil && strings.ContainsAny(err.Error()+failure.HintOf(err), "\n\r\x00"):
		t.Errorf("%s: not one line: %q", name, err)
	case err != nil && strings.Contains(fmt.Sprintf("%+v %#v", err, err), exampleSecret):
		t.Errorf("%s: the error shows the secret", name)
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	type R = presign.Request
	headers := func(h ...presign.Header) func(*R) { return func(r *R) { r.Headers = h } }
	response := func(h ...presign.Header) func(*R) { return func(r *R) { r.ResponseHeaders = h } }
	expires := func(d time.Duration) func(*R) { return func(r *R) { r.Expires = d } }
	for name, c := range map[string]struct {
		change func(*R)
		want   failure.Kind
	}{
		"as it is":             {func(*R) {}, none},
		"one second":           {expires(time.Second), none},
		"seven days":           {expires(7 * 24 * time.Hour), none},
		"a second more":        {expires(7*24*time.Hour + time.Second), failure.TooLarge},
		"a nanosecond more":    {expires(7*24*time.Hour + 1), failure.TooLarge},
		"no life":              {expires(0), failure.TooLarge},
		"negative life":        {expires(-time.Second), failure.TooLarge},
		"half a second":        {expires(1500 * time.Millisecond), failure.TooLarge},
		"a millisecond":        {expires(time.Millisecond), failure.TooLarge},
		"the longest duration": {expires(1<<63 - 1), failure.TooLarge},
		"the lowest duration":  {expires(-1 << 63), failure.TooLarge},

		"no time":    {func(r *R) { r.Time = time.Time{} }, failure.Usage},
		"year 10000": {func(r *R) { r.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, failure.Usage},
		"year -1":    {func(r *R) { r.Time = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }, failure.Usage},
		"year 10000 by its zone": {func(r *R) {
			r.Time = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -2*3600))
		}, failure.Usage},

		"put":       {func(r *R) { r.Method = "put" }, none},
		"Delete":    {func(r *R) { r.Method = "Delete" }, none},
		"no method": {func(r *R) { r.Method = "" }, failure.Usage},
		"POST":      {func(r *R) { r.Method = "POST" }, failure.Usage},
		"GET+":      {func(r *R) { r.Method = "GET\n" }, failure.Usage},

		"no key":               {func(r *R) { r.Key = "" }, failure.Usage},
		"longest key":          {func(r *R) { r.Key = strings.Repeat("k", 1024) }, none},
		"key too long":         {func(r *R) { r.Key = strings.Repeat("k", 1025) }, failure.TooLarge},
		"key long in bytes":    {func(r *R) { r.Key = strings.Repeat("ü", 513) }, failure.TooLarge},
		"key of strange bytes": {func(r *R) { r.Key = "\x00\xff\n../" }, none},

		"no bucket":            {func(r *R) { r.Bucket = "" }, failure.Usage},
		"bucket with slash":    {func(r *R) { r.Bucket = "a/b" }, failure.Usage},
		"bucket with query":    {func(r *R) { r.Bucket = "a?b" }, failure.Usage},
		"bucket with newline":  {func(r *R) { r.Bucket = "ab\n" }, failure.Usage},
		"bucket with user":     {func(r *R) { r.Bucket = "a@evil" }, failure.Usage},
		"bucket ..":            {func(r *R) { r.Bucket = ".." }, failure.Usage},
		"bucket with capitals": {func(r *R) { r.Bucket = "My_Bucket" }, none},
		"bucket too long":      {func(r *R) { r.Bucket = strings.Repeat("b", 256) }, failure.TooLarge},

		"version":             {func(r *R) { r.VersionID = "v1" }, none},
		"version of a HEAD":   {func(r *R) { r.VersionID, r.Method = "v1", "head" }, none},
		"version of a PUT":    {func(r *R) { r.VersionID, r.Method = "v1", "PUT" }, failure.Usage},
		"version of a DELETE": {func(r *R) { r.VersionID, r.Method = "v1", "DELETE" }, failure.Usage},
		"endless version":     {func(r *R) { r.VersionID = strings.Repeat("v", 1025) }, failure.TooLarge},

		"header":                {headers(presign.Header{"Content-Type", "text/plain"}), none},
		"empty value":           {headers(presign.Header{"x-amz-meta-a", ""}), none},
		"host":                  {headers(presign.Header{"Host", "evil"}), failure.Usage},
		"authorization":         {headers(presign.Header{"AUTHORIZATION", "x"}), failure.Usage},
		"x-amz-date":            {headers(presign.Header{"X-Amz-Date", "x"}), failure.Usage},
		"x-amz-content-sha256":  {headers(presign.Header{"x-amz-content-sha256", "x"}), failure.Usage},
		"x-amz-security-token":  {headers(presign.Header{"x-amz-security-token", "x"}), failure.Usage},
		"twice in another case": {headers(presign.Header{"a", "1"}, presign.Header{"b", "1"}, presign.Header{"A", "1"}), failure.Usage},
		"no name":               {headers(presign.Header{"", "1"}), failure.Usage},
		"name with space":       {headers(presign.Header{"a b", "1"}), failure.Usage},
		"name with colon":       {headers(presign.Header{"a:b", "1"}), failure.Usage},
		"name with semicolon":   {headers(presign.Header{"a;host", "1"}), failure.Usage},
		"name with newline":     {headers(presign.Header{"a\n", "1"}), failure.Usage},
		"name not ASCII":        {headers(presign.Header{"ä", "1"}), failure.Usage},
		"name of another byte":  {headers(presign.Header{"a\xff", "1"}), failure.Usage},
		"value with newline":    {headers(presign.Header{"a", "1\r\nhost: evil"}), failure.Usage},
		"value with tab":        {headers(presign.Header{"a", "1\t2"}), failure.Usage},
		"value with DEL":        {headers(presign.Header{"a", "1\x7f"}), failure.Usage},
		"value not ASCII":       {headers(presign.Header{"a", "ü"}), failure.Usage},

		"response header":            {response(presign.Header{"content-type", "a/b"}), none},
		"response header, long form": {response(presign.Header{"Response-Content-Type", "a/b"}), none},
		"all six": {response(presign.Header{"cache-control", "a"}, presign.Header{"content-disposition", "a"}, presign.Header{"content-encoding", "a"},
			presign.Header{"content-language", "a"}, presign.Header{"content-type", "a"}, presign.Header{"expires", "a"}), none},
		"both forms at once":           {response(presign.Header{"content-type", "a/b"}, presign.Header{"response-content-type", "a/b"}), failure.Usage},
		"unknown response header":      {response(presign.Header{"x-evil", "1"}), failure.Usage},
		"response header twice named":  {response(presign.Header{"response-response-content-type", "1"}), failure.Usage},
		"response header with newline": {response(presign.Header{"content-type", "a\nb"}), failure.Usage},
		"response header not ASCII":    {response(presign.Header{"content-disposition", "ü"}), failure.Usage},
		"response header of a PUT":     {func(r *R) { r.Method, r.ResponseHeaders = "PUT", []presign.Header{{"content-type", "a"}} }, failure.Usage},
		"response header of a DELETE":  {func(r *R) { r.Method, r.ResponseHeaders = "DELETE", []presign.Header{{"content-type", "a"}} }, failure.Usage},
		"response header of a HEAD":    {func(r *R) { r.Method, r.ResponseHeaders = "HEAD", []presign.Header{{"content-type", "a"}} }, none},
	} {
		r := request()
		c.change(&r)
		_, err := signer(t, config()).URL(r)
		wantKind(t, name, err, c.want)
		unsigned := config()
		unsigned.Credentials = presign.Credentials{}
		wantKind(t, name+" (check)", presign.Check(unsigned, r), c.want)
	}
}

func TestVirtualStyle(t *testing.T) {
	t.Parallel()
	c := config()
	c.Addressing = presign.Virtual
	for bucket, want := range map[string]failure.Kind{
		"my-bucket": none, "a.b": none, "under_score": none,
		"MyBucket": failure.Usage, ".ab": failure.Usage, "ab.": failure.Usage, "-ab": failure.Usage, "ab-": failure.Usage,
		"a..b": failure.Usage, strings.Repeat("b", 64): failure.Usage,
	} {
		r := request()
		r.Bucket = bucket
		p, err := signer(t, c).URL(r)
		wantKind(t, bucket, err, want)
		if err == nil && !strings.HasPrefix(p.URL, "https://"+bucket+".s3.example.com/test-obj?") {
			t.Errorf("%s: %s", bucket, p.URL)
		}
	}
	plain := c
	plain.Endpoint = "http://s3.example.com"
	path := config()
	for _, w := range []struct {
		config presign.Config
		bucket string
		want   int
	}{{c, "a.b", 1}, {c, "ab", 0}, {plain, "a.b", 0}, {path, "a.b", 0}} {
		if got := signer(t, w.config).Warnings(w.bucket); len(got) != w.want {
			t.Errorf("%s %s %s: %q", w.config.Endpoint, w.config.Addressing, w.bucket, got)
		}
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"https://S3.Example.COM":            "https://s3.example.com/b/k",
		"HTTPS://s3.example.com/":           "https://s3.example.com/b/k",
		"https://s3.example.com:443":        "https://s3.example.com/b/k",
		"https://s3.example.com:0443":       "https://s3.example.com/b/k",
		"https://s3.example.com:":           "https://s3.example.com/b/k",
		"https://s3.example.com:80":         "https://s3.example.com:80/b/k",
		"http://s3.example.com:80":          "http://s3.example.com/b/k",
		"http://s3.example.com:443":         "http://s3.example.com:443/b/k",
		"http://10.0.0.1:9000":              "http://10.0.0.1:9000/b/k",
		"http://[2001:DB8::1]:9000":         "http://[2001:db8::1]:9000/b/k",
		"http://[::1]:80":                   "http://[::1]/b/k",
		"https://s3.example.com/in/front":   "https://s3.example.com/in/front/b/k",
		"https://s3.example.com/in/front//": "https://s3.example.com/in/front/b/k",
		"https://s3.example.com/a%20b/c+d":  "https://s3.example.com/a%20b/c%2Bd/b/k",
	} {
		c, r := config(), request()
		c.Endpoint, r.Bucket, r.Key = endpoint, "b", "k"
		before, _ := parts(t, sign(t, c, r).URL)
		if before != want {
			t.Errorf("%s: %s, want %s", endpoint, before, want)
		}
	}
	c := config()
	c.Endpoint = "https://user:" + exampleSecret + "@s3.example.com"
	_, err := presign.NewSigner(c)
	wantKind(t, "user and password", err, failure.Config)
	c.Endpoint = "https://user:" + exampleSecret + "@s3.example.com:port"
	_, err = presign.NewSigner(c)
	wantKind(t, "user and password in what is no URL", err, failure.Config)
}

func TestConfigurations(t *testing.T) {
	t.Parallel()
	type C = presign.Config
	endpoint := func(e string) func(*C) { return func(c *C) { c.Endpoint = e } }
	for name, c := range map[string]struct {
		change func(*C)
		want   failure.Kind
	}{
		"no endpoint":               {endpoint(""), failure.Usage},
		"no scheme":                 {endpoint("s3.example.com"), failure.Config},
		"host and port":             {endpoint("s3.example.com:9000"), failure.Config},
		"another scheme":            {endpoint("ftp://s3.example.com"), failure.Config},
		"no host":                   {endpoint("https:///b"), failure.Config},
		"only a port":               {endpoint("https://:9000"), failure.Config},
		"opaque":                    {endpoint("https:s3.example.com"), failure.Config},
		"a query":                   {endpoint("https://s3.example.com/?a=b"), failure.Config},
		"an empty query":            {endpoint("https://s3.example.com/?"), failure.Config},
		"a fragment":                {endpoint("https://s3.example.com/#a"), failure.Config},
		"no fragment":               {endpoint("https://s3.example.com/#"), failure.Config},
		"port 0":                    {endpoint("https://s3.example.com:0"), failure.Config},
		"port 65536":                {endpoint("https://s3.example.com:65536"), failure.Config},
		"port by name":              {endpoint("https://s3.example.com:https"), failure.Config},
		"a space":                   {endpoint("https://s3 example.com"), failure.Config},
		"a newline":                 {endpoint("https://s3.example.com\n"), failure.Config},
		"newline in path":           {endpoint("https://s3.example.com/a%0Ab"), failure.Config},
		"not ASCII":                 {endpoint("https://s3.exämple.com"), failure.Config},
		"a zone":                    {endpoint("https://[fe80::1%25eth0]:9000"), failure.Config},
		"no region":                 {func(c *C) { c.Region = "" }, failure.Config},
		"bad region":                {func(c *C) { c.Region = "us/east" }, failure.Config},
		"no addressing":             {func(c *C) { c.Addressing = "" }, failure.Config},
		"bad addressing":            {func(c *C) { c.Addressing = "auto" }, failure.Config},
		"virtual on IPv4":           {func(c *C) { c.Endpoint, c.Addressing = "https://10.0.0.1", presign.Virtual }, failure.Config},
		"virtual on IPv6":           {func(c *C) { c.Endpoint, c.Addressing = "https://[::1]:9000", presign.Virtual }, failure.Config},
		"virtual on IPv4 with port": {func(c *C) { c.Endpoint, c.Addressing = "https://10.0.0.1:9000", presign.Virtual }, failure.Config},

		"no access key":     {func(c *C) { c.Credentials.AccessKey = "" }, failure.Auth},
		"no secret":         {func(c *C) { c.Credentials.SecretKey = secret.Text{} }, failure.Auth},
		"newline in key":    {func(c *C) { c.Credentials.AccessKey += "\n" }, failure.Auth},
		"newline in secret": {func(c *C) { c.Credentials.SecretKey = secret.FromString(exampleSecret + "\n") }, failure.Auth},
		"newline in token":  {func(c *C) { c.Credentials.SessionToken = secret.FromString("a\n") }, failure.Auth},
	} {
		config := config()
		c.change(&config)
		_, err := presign.NewSigner(config)
		wantKind(t, name, err, c.want)
		if c.want != failure.Auth { // credentials are not Check's business
			wantKind(t, name+" (check)", presign.Check(config, request()), c.want)
		}
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 13, 0, 0, 999, time.FixedZone("", 3600)) // 12:00 UTC and a bit
	end := time.Date(2026, 1, 31, 12, 5, 0, 0, time.UTC)
	for name, c := range map[string]struct{ credentials, effective time.Time }{
		"endless":      {time.Time{}, end},
		"end later":    {end.Add(time.Second), end},
		"end together": {end, end},
		"end earlier":  {end.Add(-time.Minute).In(time.FixedZone("", -7200)), end.Add(-time.Minute)},
	} {
		config, r := config(), request()
		config.Credentials.Expires, r.Time = c.credentials, at
		p := sign(t, config, r)
		if !p.Expires.Equal(end) || !p.EffectiveExpires.Equal(c.effective) {
			t.Errorf("%s: expires %s, effectively %s", name, p.Expires, p.EffectiveExpires)
		}
		if p.Expires.Location() != time.UTC || p.EffectiveExpires.Location() != time.UTC {
			t.Errorf("%s: not in UTC", name)
		}
		if _, query := parts(t, p.URL); query.Get("X-Amz-Date") != "20260131T120000Z" || query.Get("X-Amz-Expires") != "300" {
			t.Errorf("%s: %s", name, p.URL)
		}
	}
	config, r := config(), request()
	config.Credentials.Expires = r.Time
	_, err := signer(t, config).URL(r)
	wantKind(t, "ended", err, failure.Auth)
}

func TestHeadersToSend(t *testing.T) {
	t.Parallel()
	r := request()
	if p := sign(t, config(), r); p.Headers != nil || p.Method != "GET" {
		t.Errorf("%v", p)
	}
	r.Method = "put"
	r.Headers = []presign.Header{{"X-Amz-Meta-A", " a  b "}}
	p := sign(t, config(), r)
	if p.Method != "PUT" || len(p.Headers) != 1 || p.Headers["x-amz-meta-a"] != " a  b " {
		t.Errorf("%v", p)
	}
	// Spaces that HTTP libraries may tidy do not count.
	r.Headers = []presign.Header{{"x-amz-meta-a", "a b"}}
	if tidy := sign(t, config(), r); tidy.URL != p.URL {
		t.Errorf("%s\n%s", tidy.URL, p.URL)
	}
	r.Headers = nil
	if without := sign(t, config(), r); without.URL == p.URL || strings.Contains(without.URL, "x-amz-meta") {
		t.Errorf("%s", without.URL)
	}
}

func TestParseURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]struct{ bucket, key string }{
		"s3://b/k":               {"b", "k"},
		"S3://b/k":               {"b", "k"},
		"s3://b//k":              {"b", "/k"},
		"s3://b/ k /":            {"b", " k /"},
		"s3://b/a%20b?c=d#e":     {"b", "a%20b?c=d#e"},
		"s3://b/../x":            {"b", "../x"},
		"s3://b/\xff\x00\r":      {"b", "\xff\x00\r"},
		"s3://b/s3://b/k":        {"b", "s3://b/k"},
		"s3://My_Bucket.2/k\\l*": {"My_Bucket.2", "k\\l*"},
	} {
		bucket, key, err := presign.ParseURI(uri)
		if err != nil || bucket != want.bucket || key != want.key {
			t.Errorf("%q: %q %q %v", uri, bucket, key, err)
		}
	}
	for uri, want := range map[string]failure.Kind{
		"": failure.Usage, "b/k": failure.Usage, "s3:/b/k": failure.Usage, "https://b/k": failure.Usage, "s3://": failure.Usage,
		"s3:///k": failure.Usage, "s3://b": failure.Usage, "s3://b/": failure.Usage, "s3://b?x/k": failure.Usage, " s3://b/k": failure.Usage,
		"s3://b\n/k": failure.Usage, "s3://u:p@b/k": failure.Usage, "s3://../k": failure.Usage,
		"s3://b/" + strings.Repeat("k", 1024): none, "s3://b/" + strings.Repeat("k", 1025): failure.TooLarge,
		strings.Repeat("\n", 1<<20): failure.Usage,
	} {
		_, _, err := presign.ParseURI(uri)
		wantKind(t, fmt.Sprintf("%.40q", uri), err, want)
	}
}

// TestNothingPrintsTheSecret prints what a program might log by accident.
func TestNothingPrintsTheSecret(t *testing.T) {
	t.Parallel()
	c := config()
	c.Credentials.SessionToken = secret.FromString("session-canary")
	s := signer(t, c)
	if _, err := s.URL(request()); err != nil { // the signing key is there now
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, &c, s, struct{ S *presign.Signer }{s}, errors.Join(fmt.Errorf("%v", s))} {
			out := fmt.Sprintf(verb, v)
			for _, canary := range []string{exampleSecret, "session-canary", fmt.Sprintf("%x", exampleSecret), fmt.Sprintf("%d", []byte(exampleSecret))} {
				if strings.Contains(out, canary) {
					t.Errorf("%s of %T: %s", verb, v, out)
				}
			}
		}
	}
}
