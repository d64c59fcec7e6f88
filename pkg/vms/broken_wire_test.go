package vms_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/vms"
)

// rawServer answers every connection by hand. It stands where the fake is, with
// its certificate.
func rawServer(t *testing.T, serve func(net.Conn, *tls.Config)) *vms.Client {
	t.Helper()
	f := newFake(t, answers(http.StatusOK, "[]"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	config := f.TLS.Clone()
	config.NextProtos = nil // HTTP/1.1
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn, config)
		}
	}()
	f.URL = "https://" + listener.Addr().String()
	return f.client(t)
}

// afterRequest reads one request whole and hands over the connection.
func afterRequest(answer func(*tls.Conn)) func(net.Conn, *tls.Config) {
	return func(raw net.Conn, config *tls.Config) {
		conn := tls.Server(raw, config)
		defer func() { _ = conn.Close() }()
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		answer(conn)
	}
}

// The answer breaks off at every single byte: short of its end the key may have
// been made and nobody has its secret, and no part of the secret is shown.
func TestTheAnswerBreaksOffAtEveryByte(t *testing.T) {
	const body = `{"access_key":"AKCANARY","secret_key":"SKCANARY"}`
	answer := fmt.Sprintf("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for at := 0; at <= len(answer); at++ {
		client := rawServer(t, afterRequest(func(c *tls.Conn) { _, _ = io.WriteString(c, answer[:at]) }))
		id, sec, err := client.CreateOwnKey(t.Context())
		if at == len(answer) {
			if err != nil || id != "AKCANARY" || sec.Reveal() != "SKCANARY" {
				t.Errorf("whole: %q, %v", id, err)
			}
			continue
		}
		if !errors.Is(err, vms.ErrAnswerLost) || !failure.Is(err, failure.Network) || id != "" || !sec.IsEmpty() || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("after %d bytes (%q): %q, %v", at, answer[:at], id, err)
		}
	}
}

// What cannot have arrived is told from what may have.
func TestWhatMayHaveArrived(t *testing.T) {
	reset := func(c net.Conn) {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	for name, c := range map[string]struct {
		serve func(net.Conn, *tls.Config)
		lost  bool
	}{
		"closed before the handshake": {func(c net.Conn, _ *tls.Config) { _ = c.Close() }, false},
		"reset before the handshake":  {func(c net.Conn, _ *tls.Config) { reset(c) }, false},
		"no TLS": {func(c net.Conn, _ *tls.Config) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_ = c.Close()
		}, false},
		"an old TLS": {func(c net.Conn, config *tls.Config) {
			config = config.Clone()
			config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			_ = tls.Server(c, config).Handshake()
			_ = c.Close()
		}, false},
		"reset after the request": {func(raw net.Conn, config *tls.Config) {
			conn := tls.Server(raw, config)
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			reset(raw)
		}, true},
		"a page of a proxy": {afterRequest(func(c *tls.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")
		}), true},
		"no HTTP":           {afterRequest(func(c *tls.Conn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n\r\n") }), true},
		"headers, no end":   {afterRequest(func(c *tls.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Ty") }), true},
		"a body, no length": {afterRequest(func(c *tls.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\n\r\n{\"access_key\":\"A\"") }), true},
	} {
		_, _, err := rawServer(t, c.serve).CreateOwnKey(t.Context())
		if errors.Is(err, vms.ErrAnswerLost) != c.lost || !failure.Is(err, failure.Network) {
			t.Errorf("%s: lost %t: %v", name, errors.Is(err, vms.ErrAnswerLost), err)
		}
	}
}
