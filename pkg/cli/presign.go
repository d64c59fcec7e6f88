package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
)

type presignFlags struct {
	method, expires, at, versionID, credentials string
	headers, responseHeaders                    []string
	requireFull                                 bool
}

func (a *app) presign() *cobra.Command {
	var f presignFlags
	cmd := &cobra.Command{
		Use:   "presign s3://BUCKET/KEY",
		Short: "Sign a URL for one object and one method",
		Long: `Print a URL with which anybody can do one thing with one object until it expires. Signing
needs no network. Whoever holds the URL can use it: treat it as a secret. Deleting the access
key that signed it ends it early.

The key is all that follows the first slash behind the bucket, byte for byte. Only the host
and the headers asked for are signed; who uses the URL must send those headers as they are.

The signing key is the profile's (issued if none is stored), or with --credentials env the one in
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, which is the default when no VMS
address is set.`,
		Example: `  valetkey presign s3://demo/report.csv
  valetkey presign s3://demo/in.csv --method PUT --expires 1h --header content-type=text/csv
  valetkey presign s3://demo/report.csv --response-header content-disposition=attachment -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.runPresign(args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.method, "method", "GET", "`method` the URL is for: GET, PUT, HEAD or DELETE")
	flags.StringVar(&f.expires, "expires", "15m", "how long the URL works: a `duration` from 1s to 7d")
	flags.StringVar(&f.versionID, "version-id", "", "version `id` of the object (GET and HEAD)")
	flags.StringArrayVar(&f.headers, "header", nil, "header that must be sent: `name=value` (repeatable)")
	flags.StringArrayVar(&f.responseHeaders, "response-header", nil, "header that the answer shall carry: `name=value` (repeatable; GET and HEAD)")
	flags.StringVar(&f.at, "time", "", "sign for this RFC 3339 `time` instead of now, for reproducible output")
	flags.StringVar(&f.credentials, "credentials", "", "where the signing key comes from: `profile` or env (default: profile when a VMS address is set)")
	flags.BoolVar(&f.requireFull, "require-full-expiry", false, "fail when the signing credentials end before the URL does")
	settings.AddFlags(flags, "s3.endpoint", "s3.public_endpoint", "s3.region", "s3.addressing", "keys.store")
	a.addVMSFlags(cmd)
	return cmd
}

// presigned is the frozen JSON shape.
type presigned struct {
	URL              string            `json:"url"`
	Method           string            `json:"method"`
	Expires          string            `json:"expires"`
	EffectiveExpires string            `json:"effective_expires"`
	Headers          map[string]string `json:"headers"`
}

func (a *app) runPresign(uri string, f presignFlags) error {
	request, err := a.presignRequest(uri, f)
	if err != nil {
		return err
	}
	s3, err := a.set.S3()
	if err != nil {
		return err
	}
	endpoint := s3.PublicEndpoint
	if endpoint.Text() == "" {
		return failure.New(failure.Usage, "no S3 endpoint to sign for").
			WithHint("set s3.endpoint: --endpoint, VALETKEY_S3_ENDPOINT or AWS_ENDPOINT_URL_S3")
	}
	config := presign.Config{Endpoint: endpointURL(endpoint.Text()), Region: s3.Region.Text(), Addressing: presign.Addressing(s3.Addressing.Text())}
	// What can be wrong with the request is said before a key is issued for it.
	if err := presign.Check(config, request); err != nil {
		return err
	}
	if config.Credentials, err = a.signingCredentials(f.credentials); err != nil {
		return err
	}
	signer, err := presign.NewSigner(config)
	if err != nil {
		return err
	}
	for _, w := range signer.Warnings(request.Bucket) {
		a.term.Warn("%s", w)
	}
	signed, err := signer.URL(request)
	if err != nil {
		return err
	}
	if signed.EffectiveExpires.Before(signed.Expires) {
		const short = "the signing credentials end at %s, before the URL does"
		end := signed.EffectiveExpires.UTC().Format(time.RFC3339)
		if f.requireFull {
			return failure.New(failure.TooLarge, short, end).WithHint("ask for a shorter --expires")
		}
		a.term.Warn(short, end)
	}
	answer := presigned{
		URL: signed.URL, Method: signed.Method,
		Expires:          signed.Expires.UTC().Format(time.RFC3339),
		EffectiveExpires: signed.EffectiveExpires.UTC().Format(time.RFC3339),
		Headers:          signed.Headers,
	}
	if answer.Headers == nil {
		answer.Headers = map[string]string{}
	}
	return a.print(render.Text(answer, answer.URL))
}

// endpointURL completes an endpoint that is given as host or host:port: AWS tools
// take nothing but a URL.
func endpointURL(endpoint string) string {
	if endpoint == "" || strings.Contains(endpoint, "://") {
		return endpoint
	}
	return "https://" + endpoint
}

func (a *app) presignRequest(uri string, f presignFlags) (presign.Request, error) {
	bucket, key, err := presign.ParseURI(uri)
	if err != nil {
		return presign.Request{}, err
	}
	expires, err := settings.ParseDuration(f.expires)
	if err != nil {
		return presign.Request{}, failure.Wrap(failure.Usage, err, "read --expires")
	}
	at := a.clock()
	if f.at != "" {
		if at, err = time.Parse(time.RFC3339, f.at); err != nil {
			return presign.Request{}, failure.New(failure.Usage, "--time %q is no RFC 3339 time", f.at).WithHint("such as 2026-01-31T12:00:00Z")
		}
	}
	headers, err := pairs("--header", f.headers)
	if err != nil {
		return presign.Request{}, err
	}
	response, err := pairs("--response-header", f.responseHeaders)
	if err != nil {
		return presign.Request{}, err
	}
	return presign.Request{
		Method: f.method, Bucket: bucket, Key: key, VersionID: f.versionID,
		Headers: headers, ResponseHeaders: response, Expires: expires, Time: at,
	}, nil
}

// pairs splits name=value flags.
func pairs(flag string, values []string) ([]presign.Header, error) {
	var list []presign.Header
	for _, v := range values {
		name, value, found := strings.Cut(v, "=")
		if !found || name == "" {
			return nil, failure.New(failure.Usage, "%s wants name=value", flag).WithHint("such as %s content-type=text/csv", flag)
		}
		list = append(list, presign.Header{Name: name, Value: value})
	}
	return list, nil
}

// signingCredentials are the profile's key, or the ones in the environment.
func (a *app) signingCredentials(from string) (presign.Credentials, error) {
	if from == "" {
		from = "env"
		address, err := a.set.Lookup("vms.address")
		if err != nil {
			return presign.Credentials{}, err
		}
		if address.Text() != "" {
			from = "profile"
		}
	}
	switch from {
	case "env":
		return a.environmentCredentials()
	case "profile":
		k, err := a.accessKeys(keepingStores)
		if err != nil {
			return presign.Credentials{}, err
		}
		c, err := k.source.Credentials(a.wait())
		if err != nil {
			return presign.Credentials{}, err
		}
		signing := presign.Credentials{AccessKey: c.AccessKey, SecretKey: c.SecretKey, SessionToken: c.SessionToken}
		if !c.Soft {
			signing.Expires = c.Expires
		}
		return signing, nil
	}
	return presign.Credentials{}, failure.New(failure.Usage, "--credentials %q is unknown", from).WithHint("it takes profile or env")
}

func (a *app) environmentCredentials() (presign.Credentials, error) {
	c := presign.Credentials{
		AccessKey: a.env["AWS_ACCESS_KEY_ID"],
		SecretKey: secret.FromString(a.env["AWS_SECRET_ACCESS_KEY"]),
	}
	if token := a.env["AWS_SESSION_TOKEN"]; token != "" {
		c.SessionToken = secret.FromString(token)
	}
	if c.AccessKey == "" || c.SecretKey.IsEmpty() {
		return c, failure.New(failure.Auth, "no credentials to sign with: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set").
			WithHint("set them, or set vms.address to sign with the profile's key")
	}
	if ends := a.env["AWS_CREDENTIAL_EXPIRATION"]; ends != "" {
		t, err := time.Parse(time.RFC3339, ends)
		if err != nil {
			return c, failure.New(failure.Config, "AWS_CREDENTIAL_EXPIRATION %q is no RFC 3339 time", ends)
		}
		c.Expires = t
	}
	return c, nil
}
