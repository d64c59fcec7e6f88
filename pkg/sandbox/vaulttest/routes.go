package vaulttest

import (
	"context"
	"net/http"
	"sort"
	"strings"
)

// route is one operation. Its name is what faults and logs call it.
type route struct {
	name   string
	method string
	prefix string // the path, or its beginning when it ends in a slash
	suffix string // what must follow the open part
	mount  *mount
	open   bool // needs no token
	sealed bool // answers although Vault is sealed
	slash  bool // the open part may end in a slash
	do     func(context.Context, *request) reply
}

// match returns the open part of the path. A route with an open part takes no empty one.
func (rt *route) match(path string) (string, bool) {
	if !strings.HasSuffix(rt.prefix, "/") {
		return "", path == rt.prefix
	}
	rest, ok := strings.CutPrefix(path, rt.prefix)
	if !ok {
		return "", false
	}
	if rest, ok = strings.CutSuffix(rest, rt.suffix); !ok {
		return "", false
	}
	if rt.method == "LIST" {
		return rest, true
	}
	return rest, rest != "" && (rt.slash || !strings.HasSuffix(rest, "/"))
}

func (s *Server) find(method, path string) (*route, string) {
	if method == http.MethodHead && path == "sys/health" {
		method = http.MethodGet // nothing else has it
	}
	for i := range s.routes {
		if rt := &s.routes[i]; rt.method == method {
			if rest, ok := rt.match(path); ok {
				return rt, rest
			}
		}
	}
	return nil, ""
}

// Route names the route that takes the request, or is empty. The body is not read.
func (s *Server) Route(r *http.Request) string {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return ""
	}
	method := r.Method
	switch {
	case method == http.MethodPut:
		method = http.MethodPost
	case method == http.MethodGet && r.URL.Query().Get("list") == "true":
		method = "LIST"
	}
	if method == "LIST" && !strings.HasSuffix(path, "/") {
		path += "/"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rt, _ := s.find(method, path)
	if rt == nil {
		return ""
	}
	return rt.name
}

// Routes are the names of all routes, sorted, each once.
func (s *Server) Routes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	var names []string
	for _, rt := range s.routes {
		if !seen[rt.name] {
			seen[rt.name] = true
			names = append(names, rt.name)
		}
	}
	sort.Strings(names)
	return names
}

func (s *Server) table() []route {
	const get, post, del, list = http.MethodGet, http.MethodPost, http.MethodDelete, "LIST"
	all := []route{
		{name: "vault.get_health", method: get, prefix: "sys/health", open: true, sealed: true, do: s.health},
		{name: "vault.get_seal_status", method: get, prefix: "sys/seal-status", open: true, sealed: true, do: s.sealStatus},
		{name: "vault.post_seal", method: post, prefix: "sys/seal", do: s.seal},
		{name: "vault.post_unseal", method: post, prefix: "sys/unseal", open: true, sealed: true, do: s.unsealWith},
		{name: "vault.get_mounts", method: get, prefix: "sys/mounts", do: s.listMounts},
		{name: "vault.get_mount", method: get, prefix: "sys/internal/ui/mounts/", open: true, slash: true, do: s.mountOf},
		{name: "vault.post_mount", method: post, prefix: "sys/mounts/", do: s.mountAt},
		{name: "vault.delete_mount", method: del, prefix: "sys/mounts/", do: s.unmount},
		{name: "vault.post_policy", method: post, prefix: "sys/policies/acl/", do: s.writePolicy},
		{name: "vault.post_capabilities_self", method: post, prefix: "sys/capabilities-self", do: s.capabilitiesSelf},

		{name: "vault.post_approle_login", method: post, prefix: "auth/approle/login", open: true, do: s.loginAppRole},
		{name: "vault.post_userpass_login", method: post, prefix: "auth/userpass/login/", open: true, do: s.loginUserpass},
		{name: "vault.get_token_self", method: get, prefix: "auth/token/lookup-self", do: s.lookupSelf},
		{name: "vault.post_token_lookup", method: post, prefix: "auth/token/lookup", do: s.lookup},
		{name: "vault.post_token_renew_self", method: post, prefix: "auth/token/renew-self", do: s.renewSelf},
		{name: "vault.post_token_revoke_self", method: post, prefix: "auth/token/revoke-self", do: s.revokeSelf},
		{name: "vault.post_token_create", method: post, prefix: "auth/token/create", do: s.createToken},
	}
	mounts := make([]*mount, 0, len(s.mounts))
	for _, m := range s.mounts {
		mounts = append(mounts, m)
	}
	// Of two mounts that could take a path, the longer one does.
	sort.Slice(mounts, func(i, j int) bool { return len(mounts[i].name) > len(mounts[j].name) })
	for _, m := range mounts {
		at := func(name, method, prefix string, do func(context.Context, *request) reply) {
			all = append(all, route{name: name, method: method, prefix: m.name + "/" + prefix, mount: m, do: do})
		}
		if m.version == 1 {
			at("vault.list_kv1", list, "", s.kv1List)
			at("vault.get_kv1", get, "", s.kv1Read)
			at("vault.post_kv1", post, "", s.kv1Write)
			at("vault.delete_kv1", del, "", s.kv1Delete)
			continue
		}
		at("vault.get_kv_data", get, "data/", s.kvRead)
		at("vault.post_kv_data", post, "data/", s.kvWrite)
		at("vault.delete_kv_data", del, "data/", s.kvDelete)
		at("vault.post_kv_delete", post, "delete/", s.kvDeleteVersions)
		at("vault.post_kv_undelete", post, "undelete/", s.kvUndelete)
		at("vault.post_kv_destroy", post, "destroy/", s.kvDestroy)
		at("vault.list_kv_metadata", list, "metadata/", s.kvList)
		at("vault.get_kv_metadata", get, "metadata/", s.kvMetadata)
		at("vault.post_kv_metadata", post, "metadata/", s.kvWriteMetadata)
		at("vault.delete_kv_metadata", del, "metadata/", s.kvDeleteMetadata)
	}
	return all
}
