package sandbox_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// start runs a sandbox for the test.
func start(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client trusts the sandbox's authority and nobody else.
func client(t *testing.T, s *sandbox.Sandbox) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("ca.pem holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func TestAllThreeAnswer(t *testing.T) {
	began := time.Now()
	s := start(t, sandbox.Options{})
	t.Logf("started in %v", time.Since(began))
	c := client(t, s)
	for path, want := range map[string]int{
		s.VMS() + "/api/s3keys/":        http.StatusUnauthorized,
		s.Vault() + "/v1/sys/health":    http.StatusOK,
		s.S3() + "/":                    http.StatusForbidden,
		s.VMS() + "/api/v99/s3keys/":    http.StatusNotFound,
		s.VMS() + "/api/latest/s3keys/": http.StatusUnauthorized,
	} {
		resp, err := c.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
