package vmstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox/observe"
)

// call is one request being answered. Its handler runs under the server's lock.
type call struct {
	s      *Server
	r      *http.Request
	param  string
	body   []byte
	now    time.Time
	user   *user
	tenant int // counted from 1, as VMS counts
}

// refusal is an answer that is an error to the caller.
type refusal struct {
	status int
	body   any
}

func (r *refusal) Error() string { return fmt.Sprint(r.status, " ", r.body) }

// The bodies of refusals. "code" is permission_denied where retrying with a
// fresh token is of no use.
func refuse(status int, format string, args ...any) error {
	return &refusal{status, map[string]any{"detail": fmt.Sprintf(format, args...)}}
}

func forbid(format string, args ...any) error {
	return &refusal{http.StatusForbidden, map[string]any{
		"detail": fmt.Sprintf(format, args...), "code": "permission_denied",
	}}
}

func badField(field, format string, args ...any) error {
	return &refusal{http.StatusBadRequest, map[string]any{field: []string{fmt.Sprintf(format, args...)}}}
}

func required(field string) error { return badField(field, "This field is required.") }

var errNotFound error = &refusal{http.StatusNotFound, map[string]any{"detail": "Not found."}}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.o.Now()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	status, answer, err := s.answer(r, now)
	var no *refusal
	switch {
	case errors.As(err, &no):
		status, answer = no.status, no.body
	case err != nil:
		status, answer = http.StatusInternalServerError, map[string]any{"detail": err.Error()}
	}
	s.write(w, status, answer)
}

func (s *Server) answer(r *http.Request, now time.Time) (int, any, error) {
	found, param, known := match(r)
	switch {
	case found.handle == nil && known:
		return 0, nil, refuse(http.StatusMethodNotAllowed, "Method %q not allowed.", r.Method)
	case found.handle == nil:
		return 0, nil, errNotFound
	}
	// The body comes before the lock: a slow client holds up nobody else.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return 0, nil, refuse(http.StatusBadRequest, "The body could not be read.")
	case len(body) > maxBody:
		return 0, nil, refuse(http.StatusRequestEntityTooLarge, "The body is larger than %d bytes.", maxBody)
	}
	c := &call{s: s, r: r, param: param, body: body, now: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.admit(found.who); err != nil {
		return 0, nil, err
	}
	return found.handle(c)
}

// write sends the answer. A nil answer is no body, a []byte goes out as it is.
func (s *Server) write(w http.ResponseWriter, status int, answer any) {
	data, raw := answer.([]byte)
	if !raw && answer != nil {
		var err error
		if data, err = json.Marshal(answer); err != nil {
			status, data = http.StatusInternalServerError, []byte(`{"detail":"the answer cannot be encoded"}`)
		}
	}
	if !raw && len(data) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Cache-Control", "no-store")
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(data) // #nosec G705 -- JSON, declared as such, or what a test gave
}

// decode reads the body, a JSON object or nothing, into v.
func (c *call) decode(v any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	if kind := c.r.Header.Get("Content-Type"); !isJSON(kind) {
		return refuse(http.StatusUnsupportedMediaType, "Unsupported media type %q in request.", kind)
	}
	err := json.Unmarshal(c.body, v)
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typed) && typed.Field != "":
		// The field comes with the names of the Go structs around it.
		field := typed.Field[strings.LastIndexByte(typed.Field, '.')+1:]
		return badField(field, "Not a valid %s.", typed.Type)
	case err != nil:
		return refuse(http.StatusBadRequest, "JSON parse error - %v", err)
	}
	return nil
}

// list is a list answer in the shape that the server or the request asks for.
func (c *call) list(items []any, object bool) (int, any, error) {
	query := c.r.URL.Query()
	paged := query.Has("page") || query.Has("page_size")
	envelope := object || paged
	switch c.s.o.Lists {
	case ListArray:
		envelope = false
	case ListEnvelope:
		envelope = true
	}
	if items == nil {
		items = []any{}
	}
	if !envelope {
		return http.StatusOK, items, nil
	}
	page, size := 1, max(1, len(items))
	if paged {
		size = 50
		for name, to := range map[string]*int{"page": &page, "page_size": &size} {
			if !query.Has(name) {
				continue
			}
			n, err := strconv.Atoi(query.Get(name))
			if err != nil || n < 1 {
				return 0, nil, &refusal{http.StatusNotFound, map[string]any{"detail": "Invalid page."}}
			}
			*to = n
		}
	}
	size = min(size, 1000)
	last := max(1, (len(items)+size-1)/size)
	if page > last {
		return 0, nil, &refusal{http.StatusNotFound, map[string]any{"detail": "Invalid page."}}
	}
	start := (page - 1) * size
	answer := map[string]any{
		"count": len(items), "next": nil, "previous": nil,
		"results": items[start:min(start+size, len(items))],
	}
	if page < last {
		answer["next"] = c.pageURL(page + 1)
	}
	if page > 1 {
		answer["previous"] = c.pageURL(page - 1)
	}
	return http.StatusOK, answer, nil
}

func (c *call) pageURL(page int) string {
	u := url.URL{Scheme: "https", Host: c.r.Host, Path: c.r.URL.Path}
	if c.r.TLS == nil {
		u.Scheme = "http"
	}
	query := c.r.URL.Query()
	query.Set("page", strconv.Itoa(page))
	u.RawQuery = query.Encode()
	return u.String()
}

// identify notes the caller, for this call and for the request log.
func (c *call) identify(u *user) {
	c.user = u
	observe.SetUser(c.r.Context(), u.name)
}
