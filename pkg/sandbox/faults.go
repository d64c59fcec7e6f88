package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/typo"
)

// The kinds of faults.
const (
	fault500       = "500"               // an error in the server's own words
	fault503       = "503"               // the same, for a server that is busy
	faultHTML      = "html500"           // an error page where JSON or XML is expected
	faultHang      = "hang"              // no answer, until the client gives up
	faultDrop      = "drop"              // the connection is cut, nothing was done
	faultCommitted = "drop-after-commit" // it was done, and the connection is cut before the answer
	faultSlow      = "slow"              // an answer after two seconds
	faultTruncate  = "truncate"          // half of the answer, then the connection is cut
)

var faultKinds = []string{fault500, fault503, faultHTML, faultHang, faultDrop, faultCommitted, faultSlow, faultTruncate}

// slowBy is how long a slow answer takes.
const slowBy = 2 * time.Second

// FaultRoute is a route and the faults it can have.
type FaultRoute struct {
	Route string   `json:"route"`
	Kinds []string `json:"kinds"`
}

// ListFaults returns all routes of the three servers with the faults each can have.
func ListFaults() []FaultRoute {
	var list []FaultRoute
	for _, name := range routeNames() {
		list = append(list, FaultRoute{Route: name, Kinds: slices.Clone(faultKinds)})
	}
	return list
}

// faults hands out what is left of the faults asked for. It is safe for concurrent use.
type faults struct {
	mu   sync.Mutex
	left map[string][]fault
}

type fault struct {
	kind  string
	times int // 0: for ever
}

// parseFaults reads ROUTE=KIND and ROUTE=KIND*N. Several for one route happen
// one after the other.
func parseFaults(specs []string) (*faults, error) {
	f := &faults{left: map[string][]fault{}}
	for _, spec := range specs {
		route, kind, ok := strings.Cut(spec, "=")
		if !ok {
			return nil, failure.New(failure.Usage, "--fault %q is not ROUTE=KIND", spec).
				WithHint("for example --fault vms.post_s3keys=500*2; valetkey dev --list-faults shows all")
		}
		kind, count, counted := strings.Cut(kind, "*")
		times, err := 0, error(nil)
		if counted {
			if times, err = strconv.Atoi(count); err != nil || times < 1 {
				return nil, failure.New(failure.Usage, "--fault %q: %q is not a number of times", spec, count)
			}
		}
		if routes := routeNames(); !slices.Contains(routes, route) {
			return nil, unknown(spec, "route", route, routes)
		}
		if !slices.Contains(faultKinds, kind) {
			return nil, unknown(spec, "kind", kind, faultKinds)
		}
		f.left[route] = append(f.left[route], fault{kind, times})
	}
	return f, nil
}

// SetFaults replaces what is left of the faults, from the next request on.
func (s *Sandbox) SetFaults(specs ...string) error {
	f, err := parseFaults(specs)
	if err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.left = f.left
	return nil
}

func unknown(spec, what, name string, known []string) error {
	err := failure.New(failure.Usage, "--fault %q: there is no %s %q", spec, what, name)
	if near := typo.Nearest(name, known); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("valetkey dev --list-faults shows all routes and kinds")
}

// take returns the fault of the next request of a route, or "".
func (f *faults) take(route string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.left[route]
	if len(queue) == 0 {
		return ""
	}
	kind := queue[0].kind
	if queue[0].times > 0 {
		if queue[0].times--; queue[0].times == 0 {
			f.left[route] = queue[1:]
		}
	}
	return kind
}

// dialect words a failure as the server would: content type and body.
type dialect func(status int) (contentType, body string)

// answer lets the half answer, or the fault that is due.
func (s *Sandbox) answer(h half, w *answer, r *http.Request) {
	switch kind := s.faults.take(h.route(r)); kind {
	case "":
		h.handler.ServeHTTP(w, r)
	case fault500, fault503:
		status, _ := strconv.Atoi(kind)
		contentType, body := h.refuse(status)
		send(w, status, contentType, body)
	case faultHTML:
		send(w, http.StatusInternalServerError, "text/html; charset=utf-8",
			"<!doctype html>\n<html><head><title>Server Error (500)</title></head><body><h1>Server Error (500)</h1></body></html>\n")
	case faultHang:
		s.sleep(r.Context(), 0)
		panic(http.ErrAbortHandler)
	case faultDrop:
		panic(http.ErrAbortHandler)
	case faultCommitted:
		h.handler.ServeHTTP(&swallow{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case faultSlow:
		s.sleep(r.Context(), slowBy)
		h.handler.ServeHTTP(w, r)
	case faultTruncate:
		half := &swallow{header: w.Header(), limit: truncateAt}
		h.handler.ServeHTTP(half, r)
		half.sendHalf(w)
		panic(http.ErrAbortHandler)
	}
}

func send(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// sleep waits for d, or with 0 for ever, but no longer than the client or the sandbox lives.
func (s *Sandbox) sleep(ctx context.Context, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-after:
	case <-ctx.Done():
	case <-s.closing:
	}
}

// truncateAt bounds what is held of an answer that is to be truncated.
const truncateAt = 1 << 20

// swallow takes an answer in and keeps up to limit bytes of it.
type swallow struct {
	header http.Header
	status int
	limit  int
	total  int
	kept   bytes.Buffer
}

func (s *swallow) Header() http.Header { return s.header }

func (s *swallow) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}

func (s *swallow) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	s.total += len(p)
	s.kept.Write(p[:min(len(p), max(0, s.limit-s.kept.Len()))])
	return len(p), nil
}

// sendHalf sends the head of the answer, with its full length, and half of the
// body. An answer without a body is not sent at all.
func (s *swallow) sendHalf(w http.ResponseWriter) {
	if s.total == 0 {
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(s.total))
	w.WriteHeader(s.status)
	_, _ = w.Write(s.kept.Bytes()[:min(s.kept.Len(), s.total/2)])
	_ = http.NewResponseController(w).Flush()
}

// dialects of the three servers.
func vmsDialect(status int) (string, string) {
	return "application/json", fmt.Sprintf(`{"detail":%q}`, http.StatusText(status))
}

func vaultDialect(int) (string, string) {
	return "application/json", `{"errors":["internal error"]}` + "\n"
}

func s3Dialect(status int) (string, string) {
	code, message := "InternalError", "We encountered an internal error. Please try again."
	if status == http.StatusServiceUnavailable {
		code, message = "SlowDown", "Please reduce your request rate."
	}
	return "application/xml", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		"<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>"
}
