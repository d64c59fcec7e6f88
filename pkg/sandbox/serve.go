package sandbox

import (
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox/observe"
)

// half is one of the three servers.
type half struct {
	name    string
	handler http.Handler
	route   func(*http.Request) string // names the call, or empty
	path    func(*http.Request) string // the path for the log, without a secret
	refuse  dialect                    // how it words a failure of its own
}

// serve runs a server on l until Close.
func (s *Sandbox) serve(l net.Listener, h http.Handler, certificate tls.Certificate) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // faults cut connections, which are one to a request here
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		Protocols:         protocols,
		ErrorLog:          log.New(s.noise, "", log.LstdFlags|log.LUTC),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
	}
	s.servers = append(s.servers, server)
	go func() {
		if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

// wrap puts the request log, the sandbox's clock and the faults around a half.
func (s *Sandbox) wrap(h half) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, caller := observe.WithCaller(r.Context())
		answer := &answer{ResponseWriter: w}
		finished := false
		defer func() {
			entry := entry{
				Time: s.Now().UTC().Format(timeFormat), Server: h.name, Method: r.Method,
				Path: h.path(r), Status: answer.status, User: caller.User(),
			}
			if !finished || answer.broken || r.Context().Err() != nil {
				entry.Status = 0
			}
			s.log.write(entry)
		}()
		w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
		s.answer(h, answer, r.WithContext(ctx))
		if answer.status == 0 {
			answer.WriteHeader(http.StatusOK) // as net/http does for a handler that writes nothing
		}
		finished = true
	})
}

// answer watches what becomes of an answer.
type answer struct {
	http.ResponseWriter
	status int
	broken bool // the connection was lost
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.broken = a.broken || err != nil && !errors.Is(err, http.ErrBodyNotAllowed)
	return n, err
}

// Unwrap serves http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
