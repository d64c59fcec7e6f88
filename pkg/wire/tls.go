package wire

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/valetkey/valetkey/pkg/failure"
)

// maxPEM bounds CA, certificate and key files; the CA bundles of systems are under 1 MiB.
const maxPEM = 8 << 20

// pin is the SHA-256 of a SubjectPublicKeyInfo.
type pin [sha256.Size]byte

func (p pin) String() string { return "sha256//" + base64.StdEncoding.EncodeToString(p[:]) }

func pinOf(cert *x509.Certificate) pin { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// pinError is a server whose public key is not among the pinned ones.
type pinError struct{ seen pin }

func (e *pinError) Error() string {
	return "the public key " + e.seen.String() + " is not the pinned one"
}

func tlsConfig(o Options) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName.Value}
	if o.CAFile.set() {
		pool, err := loadCA(o)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = pool
	}
	if err := addClientCert(o, conf); err != nil {
		return nil, err
	}
	conf.InsecureSkipVerify = o.Insecure //nolint:gosec // asked for by the user, who is warned at every run
	if o.PinSHA256.set() {
		pins, err := parsePins(o.PinSHA256.Value)
		if err != nil {
			return nil, failure.Wrap(failure.Config, err, "%s", o.setting("pin_sha256", o.PinSHA256)).
				WithHint("it looks like sha256//BASE64= and is the SHA-256 of the server's public key")
		}
		// The pin replaces the authorities' word, not the check: it runs for
		// resumed sessions too, which VerifyPeerCertificate would not.
		conf.InsecureSkipVerify = true //nolint:gosec // VerifyConnection below decides
		conf.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the server sent no certificate")
			}
			seen := pinOf(state.PeerCertificates[0])
			for _, p := range pins {
				if p == seen {
					return nil
				}
			}
			return &pinError{seen}
		}
	}
	return conf, nil
}

func loadCA(o Options) (*x509.CertPool, error) {
	name := o.setting("ca_file", o.CAFile)
	text, err := readPEM(o.CAFile.Value)
	if err != nil {
		return nil, failure.Wrap(failure.Config, err, "%s: read %s", name, Visible(o.CAFile.Value))
	}
	pool, err := parseCA(text)
	if err != nil {
		return nil, failure.Wrap(failure.Config, err, "%s: %s", name, Visible(o.CAFile.Value)).
			WithHint("the file must hold one or more PEM certificates (-----BEGIN CERTIFICATE-----)")
	}
	return pool, nil
}

// parseCA wants every certificate of the file to be sound: a bundle that was
// cut off would otherwise fail later, far from its cause.
func parseCA(text []byte) (*x509.CertPool, error) {
	pool, count := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is broken: %w", count+1, err)
		}
		pool.AddCert(cert)
		count++
	}
	switch {
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return nil, fmt.Errorf("the PEM block after certificate %d is broken or cut off", count)
	case count == 0:
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

func addClientCert(o Options, conf *tls.Config) error {
	cert, key := o.ClientCert, o.ClientKey
	switch {
	case !cert.set() && !key.set():
		return nil
	case !key.set():
		return failure.New(failure.Config, "%s is set without %s", o.setting("client_cert", cert), o.setting("client_key", key))
	case !cert.set():
		return failure.New(failure.Config, "%s is set without %s", o.setting("client_key", key), o.setting("client_cert", cert))
	}
	certText, err := readPEM(cert.Value)
	if err != nil {
		return failure.Wrap(failure.Config, err, "%s: read %s", o.setting("client_cert", cert), Visible(cert.Value))
	}
	keyText, err := readPEM(key.Value)
	if err != nil {
		return failure.Wrap(failure.Config, err, "%s: read %s", o.setting("client_key", key), Visible(key.Value))
	}
	defer clear(keyText)
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return failure.Wrap(failure.Config, err, "%s and %s do not fit together",
			o.setting("client_cert", cert), o.setting("client_key", key))
	}
	conf.Certificates = []tls.Certificate{pair}
	return nil
}

// readPEM reads a file of bounded size. The error leaves out the path, which the caller names.
func readPEM(path string) ([]byte, error) {
	// Opening a pipe that nobody writes to never ends, and a device has no end.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path) //nolint:gosec // a file the user named
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("it is larger than %d MiB", maxPEM>>20)
	}
	return text, nil
}

func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// parsePins reads one or more pins: sha256//BASE64 as curl writes them, base64
// or hex (with or without colons), separated by ";" or ",".
func parsePins(text string) ([]pin, error) {
	var pins []pin
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == ',' }) {
		part = strings.TrimSpace(part)
		value := strings.TrimPrefix(strings.TrimPrefix(part, "sha256//"), "sha256/")
		sum, err := hex.DecodeString(strings.ReplaceAll(value, ":", ""))
		if err != nil || len(sum) != sha256.Size {
			sum, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
		}
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("\"%s\" is not a SHA-256", Visible(part))
		}
		pins = append(pins, pin(sum))
	}
	if len(pins) == 0 {
		return nil, errors.New("no pin in it")
	}
	return pins, nil
}
