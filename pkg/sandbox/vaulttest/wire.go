package vaulttest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// parse reads what every request has. The second value is the answer to a
// request that Vault refuses before it looks at the token.
func (s *Server) parse(w http.ResponseWriter, r *http.Request) (*request, *reply) {
	q := &request{id: uuid(), method: r.Method, query: r.URL.Query(), token: r.Header.Get("X-Vault-Token")}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && q.token == "" {
		q.token = bearer
	}
	q.query["namespace"] = r.Header.Values("X-Vault-Namespace")
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return q, &reply{status: http.StatusNotFound, errors: []string{}}
	}
	q.path = path
	switch r.Method {
	case http.MethodPut:
		q.method = http.MethodPost
	case http.MethodGet:
		if v := r.URL.Query().Get("list"); v != "" {
			list, err := strconv.ParseBool(v)
			if err != nil {
				return q, &reply{status: http.StatusBadRequest, errors: []string{}}
			}
			if list {
				q.method = "LIST"
			}
		}
	case http.MethodPost, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPatch, "LIST":
	default:
		return q, &reply{status: http.StatusMethodNotAllowed, errors: []string{}}
	}
	if q.method == "LIST" && !strings.HasSuffix(q.path, "/") {
		q.path += "/"
	}
	if q.method != http.MethodPost {
		return q, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.maxRequest))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			answer := fail(http.StatusRequestEntityTooLarge, "http: request body too large")
			return q, &answer
		}
		answer := fail(http.StatusBadRequest, "error reading data")
		return q, &answer
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return q, nil
	}
	if err := verify(body); err != nil {
		answer := fail(http.StatusInternalServerError, err.Error())
		return q, &answer
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&q.body); err != nil {
		answer := fail(http.StatusBadRequest, "error parsing JSON: failed to parse JSON input: "+err.Error())
		return q, &answer
	}
	return q, nil
}

func (q *request) header(name string) string {
	if v := q.query[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// text is a member of the body as text; absent and null are empty.
func (q *request) text(name string) string {
	switch v := q.body[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// reply is an answer before it is written. With errors set, even to none, it
// is an error answer; otherwise a status of 0 is 200.
type reply struct {
	status    int
	errors    []string
	data      any
	auth      any
	warnings  []string
	mountType string
	raw       any  // written instead of the envelope: sys/health and its like
	top       bool // members of data are repeated beside it, as sys/ routes do
}

func fail(status int, message string) reply {
	return reply{status: status, errors: []string{message}}
}

// absent is the answer to a read of what is not there.
func absent() reply { return reply{status: http.StatusNotFound, errors: []string{}} }

// done is the answer to a write with nothing to tell.
func done() reply { return reply{status: http.StatusNoContent} }

func denied() reply {
	return fail(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
}

func invalidToken() reply {
	return fail(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
}

// envelope is the frame of every answer that carries data, in Vault's order.
type envelope struct {
	RequestID     string   `json:"request_id"`
	LeaseID       string   `json:"lease_id"`
	Renewable     bool     `json:"renewable"`
	LeaseDuration int      `json:"lease_duration"`
	Data          any      `json:"data"`
	WrapInfo      any      `json:"wrap_info"`
	Warnings      []string `json:"warnings"`
	Auth          any      `json:"auth"`
	MountType     string   `json:"mount_type"`
}

func (a reply) write(w http.ResponseWriter, q *request) {
	if a.status == http.StatusNoContent {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		return
	}
	var body any
	switch {
	case a.errors != nil:
		body = struct {
			Errors []string `json:"errors"`
		}{a.errors}
	case a.raw != nil:
		body = a.raw
	default:
		e := envelope{RequestID: q.id, Data: a.data, Warnings: a.warnings, Auth: a.auth, MountType: a.mountType}
		body = e
		if members, ok := a.data.(map[string]any); ok && a.top {
			body = e.flatten(members)
		}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	if q.method == http.MethodHead {
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

// flatten repeats the members of data beside it.
func (e envelope) flatten(members map[string]any) map[string]any {
	all := maps.Clone(members)
	all["request_id"], all["lease_id"], all["renewable"], all["lease_duration"] = e.RequestID, e.LeaseID, e.Renewable, e.LeaseDuration
	all["data"], all["wrap_info"], all["warnings"], all["auth"] = e.Data, e.WrapInfo, e.Warnings, e.Auth
	all["mount_type"] = e.MountType
	return all
}

func randomID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func uuid() string {
	h := randomID(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
