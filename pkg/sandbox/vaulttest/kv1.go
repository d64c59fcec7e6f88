package vaulttest

import (
	"context"
	"encoding/json"
	"net/http"
)

func (s *Server) kv1Read(_ context.Context, q *request) reply {
	data, ok := q.mount.one[q.rest]
	if !ok {
		return absent()
	}
	members := map[string]any{}
	if err := json.Unmarshal(data, &members); err != nil {
		return fail(http.StatusInternalServerError, "1 error occurred:\n\t* "+err.Error()+"\n\n")
	}
	return reply{data: members, mountType: "kv"}
}

func (s *Server) kv1Write(_ context.Context, q *request) reply {
	if len(q.body) == 0 {
		return fail(http.StatusBadRequest, "missing data fields")
	}
	data, err := json.Marshal(q.body)
	if err != nil {
		return fail(http.StatusInternalServerError, "1 error occurred:\n\t* "+err.Error()+"\n\n")
	}
	if s.total+len(data)+len(q.rest) > s.limit {
		return fail(http.StatusInternalServerError, "1 error occurred:\n\t* put failed due to value being too large\n\n")
	}
	s.kv1Delete(context.Background(), q)
	s.total += len(data) + len(q.rest)
	q.mount.one[q.rest] = data
	return done()
}

func (s *Server) kv1Delete(_ context.Context, q *request) reply {
	if old, ok := q.mount.one[q.rest]; ok {
		s.total -= len(old) + len(q.rest)
		delete(q.mount.one, q.rest)
	}
	return done()
}

func (s *Server) kv1List(_ context.Context, q *request) reply {
	names := children(q.mount.one, q.rest)
	if len(names) == 0 {
		return absent()
	}
	return reply{data: map[string]any{"keys": names}, mountType: "kv"}
}
