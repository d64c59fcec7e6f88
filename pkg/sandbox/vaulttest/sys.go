package vaulttest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/secret"
)

func (s *Server) health(_ context.Context, q *request) reply {
	code, mode := http.StatusOK, "disabled"
	if s.sealed {
		mode = "unknown"
		code = http.StatusServiceUnavailable
		if v := q.header("sealedcode"); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				return reply{status: http.StatusBadRequest, errors: []string{}}
			}
			code = n
		}
	}
	return reply{status: code, raw: map[string]any{
		"initialized": true, "sealed": s.sealed, "standby": s.sealed, "performance_standby": false,
		"replication_performance_mode": mode, "replication_dr_mode": mode,
		"server_time_utc": s.now().Unix(), "version": version, "enterprise": false,
		"echo_duration_ms": 0, "clock_skew_ms": 0, "replication_primary_canary_age_ms": 0,
	}}
}

func (s *Server) sealStatus(context.Context, *request) reply {
	return reply{raw: map[string]any{
		"type": "shamir", "initialized": true, "sealed": s.sealed, "t": 1, "n": 1, "progress": 0, "nonce": "",
		"version": version, "build_date": "", "migration": false, "recovery_seal": false, "storage_type": "inmem",
	}}
}

func (s *Server) seal(context.Context, *request) reply {
	s.sealed = true
	return done()
}

func (s *Server) unsealWith(ctx context.Context, q *request) reply {
	key := q.text("key")
	switch {
	case key == "":
		return fail(http.StatusBadRequest, "'key' must be specified in request body as JSON, or 'reset' set to true")
	case len(key) != len(s.share) || strings.Trim(key, "0123456789abcdef") != "":
		return fail(http.StatusBadRequest, "'key' must be a valid hex or base64 string")
	case !secret.FromString(key).Equal(secret.FromString(s.share)):
		return fail(http.StatusBadRequest, "failed to decrypt keys from storage: cipher: message authentication failed")
	}
	s.sealed = false
	return s.sealStatus(ctx, q)
}

func (s *Server) listMounts(context.Context, *request) reply {
	data := map[string]any{}
	for name, m := range s.mounts {
		data[name+"/"] = m.describe(0)
	}
	return reply{data: data, top: true, mountType: "system"}
}

// mountOf says which mount a path lies in. It needs no capability on its own
// path, but a token that reaches into the mount.
func (s *Server) mountOf(_ context.Context, q *request) reply {
	switch {
	case q.token == "":
		return fail(http.StatusForbidden, "permission denied")
	case q.caller == nil:
		return invalidToken()
	}
	path := strings.Trim(q.rest, "/") + "/"
	var found *mount
	for name, m := range s.mounts {
		if strings.HasPrefix(path, name+"/") && (found == nil || len(name) > len(found.name)) {
			found = m
		}
	}
	if found == nil || !s.reaches(q.caller, found.name) {
		return fail(http.StatusForbidden, fmt.Sprintf(
			"preflight capability check returned 403, please ensure client's policies grant access to path %q", path))
	}
	data := found.describe(systemTTL)
	data["path"] = found.name + "/"
	return reply{data: data}
}

// mountAt mounts a KV engine.
func (s *Server) mountAt(_ context.Context, q *request) reply {
	name := strings.Trim(q.rest, "/")
	options, _ := q.body["options"].(map[string]any)
	version := 1 // as `vault secrets enable kv` has it
	switch kind, v := q.text("type"), fmt.Sprint(options["version"]); {
	case kind == "kv-v2", kind == "kv" && v == "2":
		version = 2
	case kind != "kv":
		return fail(http.StatusBadRequest, fmt.Sprintf("plugin not found in the catalog: %s", kind))
	}
	for taken := range s.mounts {
		if strings.HasPrefix(name+"/", taken+"/") || strings.HasPrefix(taken+"/", name+"/") {
			return fail(http.StatusBadRequest, fmt.Sprintf("path is already in use at %s/", taken))
		}
	}
	s.mounts[name] = newMount(name, version)
	s.routes = s.table()
	return done()
}

// unmount drops a mount with all that it holds.
func (s *Server) unmount(_ context.Context, q *request) reply {
	name := strings.Trim(q.rest, "/")
	if m := s.mounts[name]; m != nil {
		for path, k := range m.keys {
			s.total -= len(path)
			for _, e := range k.versions {
				s.total -= len(e.data) + overhead
			}
		}
		for path, data := range m.one {
			s.total -= len(path) + len(data)
		}
		delete(s.mounts, name)
		s.routes = s.table()
	}
	return done()
}

func (m *mount) describe(ttl time.Duration) map[string]any {
	return map[string]any{
		"type": "kv", "description": "", "accessor": m.accessor, "local": false, "seal_wrap": false,
		"external_entropy_access": false, "options": map[string]string{"version": strconv.Itoa(m.version)},
		"uuid": m.uuid, "plugin_version": "", "running_plugin_version": "v0.25.0+builtin", "running_sha256": "",
		"deprecation_status": "supported",
		"config": map[string]any{
			"default_lease_ttl": int64(ttl / time.Second), "max_lease_ttl": int64(ttl / time.Second),
			"force_no_cache": false,
		},
	}
}
