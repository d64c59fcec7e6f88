package wire_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/wire"
)

func TestCertificates(t *testing.T) {
	good, other := newAuthority(t, "Good CA"), newAuthority(t, "Other CA")
	soon := time.Now().Add(time.Hour)
	local, named, expired := good.issue(t, soon), good.issue(t, soon, "vms.example"), good.issue(t, time.Now().Add(-time.Hour))
	goodFile, otherFile := file(t, good.pem()), file(t, other.pem())
	bothFile := file(t, append(append([]byte("# two of them\n"), other.pem()...), good.pem()...))
	pin := pinOf(t, local)
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(pin, "sha256//"))

	cases := map[string]struct {
		cert       tls.Certificate
		ca, pin    string
		serverName string
		insecure   bool
		message    []string // empty: it works
		hint       string
	}{
		"system authorities": {cert: local, message: []string{"the certificate of https://127.0.0.1", "is not trusted", `unknown authority "CN=Good CA"`}, hint: "set vms.ca_file"},
		"right CA":           {cert: local, ca: goodFile},
		"CA in a bundle":     {cert: local, ca: bothFile},
		"wrong CA":           {cert: local, ca: otherFile, message: []string{"is not trusted", "Good CA"}, hint: "vms.ca_file (env CA)"},
		"wrong name":         {cert: named, ca: goodFile, message: []string{"for another name (vms.example)", "127.0.0.1"}, hint: "vms.server_name"},
		"name given":         {cert: named, ca: goodFile, serverName: "vms.example"},
		"wrong name given":   {cert: named, ca: goodFile, serverName: "x.example", message: []string{`not "x.example"`}, hint: "vms.server_name (flag name)"},
		"expired":            {cert: expired, ca: goodFile, message: []string{"has expired"}, hint: "clock"},
		"pin":                {cert: local, pin: pin},
		"pin as hex":         {cert: local, pin: hex.EncodeToString(raw)},
		"pin among others":   {cert: local, pin: pinOf(t, named) + ";" + pin},
		"pin beats CA":       {cert: local, ca: otherFile, pin: pin},
		"pin beats expiry":   {cert: expired, pin: pinOf(t, expired)},
		"wrong pin":          {cert: local, ca: goodFile, pin: pinOf(t, named), message: []string{"not the pinned one", pin}, hint: "vms.pin_sha256 (env PIN)"},
		"insecure":           {cert: local, insecure: true},
		"insecure, pinned":   {cert: local, insecure: true, pin: pinOf(t, named), message: []string{"not the pinned one"}, hint: "vms.pin_sha256"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &tls.Config{Certificates: []tls.Certificate{c.cert}, MinVersion: tls.VersionTLS12}, nil)
			body, err := fetch(t, wire.Options{
				Group: "vms", Address: wire.Origin{Value: s.URL}, CAFile: wire.Origin{Value: c.ca, Source: "env CA"}, Insecure: c.insecure,
				PinSHA256: wire.Origin{Value: c.pin, Source: "env PIN"}, ServerName: wire.Origin{Value: c.serverName, Source: "flag name"},
			}, s.URL)
			if c.message == nil {
				if err != nil || body != "ok" {
					t.Fatalf("%q, %v", body, err)
				}
				return
			}
			if !failure.Is(err, failure.Network) || !wire.NeverSent(err) {
				t.Fatalf("kind %v, never sent %v: %v", failure.KindOf(err), wire.NeverSent(err), err)
			}
			mustContain(t, "message", err.Error(), c.message...)
			mustContain(t, "hint", failure.HintOf(err), c.hint)
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "Get ") {
				t.Errorf("raw error shows: %v", err)
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t, "CA")
	ends := time.Now().Add(time.Hour)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	s := serve(t, &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, ends)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		// By TLS 1.3 the refusal comes after the handshake, and may be overtaken by the closed connection.
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
	}, nil)
	o := trusted(t, ca, s.URL)
	if _, err := fetch(t, o, s.URL); !failure.Is(err, failure.Network) {
		t.Errorf("without a certificate: %v", err)
	} else {
		mustContain(t, "hint", failure.HintOf(err), "vms.client_cert")
	}

	pair := ca.issue(t, ends)
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	o.ClientCert = wire.Origin{Value: file(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})), Source: "profile x"}
	if _, err := wire.NewHTTP(o); !failure.Is(err, failure.Config) {
		t.Errorf("certificate without key: %v", err)
	}
	o.ClientKey = wire.Origin{Value: file(t, key)}
	if body, err := fetch(t, o, s.URL); err != nil || body != "ok" {
		t.Errorf("%q, %v", body, err)
	}
	o.ClientKey = wire.Origin{Value: file(t, []byte("canary-key"))}
	if _, err := wire.NewHTTP(o); !failure.Is(err, failure.Config) || strings.Contains(err.Error(), "canary") {
		t.Errorf("broken key: %v", err)
	}
}

func TestBadSettings(t *testing.T) {
	ca := newAuthority(t, "CA").pem()
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nonsense")})
	cases := map[string]wire.Options{
		"missing file":      {CAFile: wire.Origin{Value: filepath.Join(t.TempDir(), "none"), Source: "env CA"}},
		"directory":         {CAFile: wire.Origin{Value: t.TempDir(), Source: "env CA"}},
		"empty":             {CAFile: wire.Origin{Value: file(t, nil), Source: "env CA"}},
		"garbage":           {CAFile: wire.Origin{Value: file(t, []byte("hello")), Source: "env CA"}},
		"broken second":     {CAFile: wire.Origin{Value: file(t, append(bytes.Clone(ca), broken...)), Source: "env CA"}},
		"cut off second":    {CAFile: wire.Origin{Value: file(t, append(bytes.Clone(ca), ca[:len(ca)/2]...)), Source: "env CA"}},
		"only a key":        {CAFile: wire.Origin{Value: file(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})), Source: "env CA"}},
		"too large":         {CAFile: wire.Origin{Value: file(t, make([]byte, 9<<20)), Source: "env CA"}},
		"pin too short":     {PinSHA256: wire.Origin{Value: "sha256//YWJj", Source: "env CA"}},
		"pin of separators": {PinSHA256: wire.Origin{Value: " ; ", Source: "env CA"}},
	}
	for name, o := range cases {
		o.Group = "vms"
		_, err := wire.NewHTTP(o)
		if !failure.Is(err, failure.Config) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		setting := "vms.ca_file (env CA)"
		if o.PinSHA256.Value != "" {
			setting = "vms.pin_sha256 (env CA)"
		}
		mustContain(t, name, err.Error(), setting)
	}
}
