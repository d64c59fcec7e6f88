package vmstest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one call of the API. In its pattern "{}" stands for one segment.
type route struct {
	method  string
	pattern string
	name    string
	who     access
	handle  func(*call) (int, any, error)
}

// access says who may make a call.
type access int

const (
	everybody access = iota // nobody need be logged in
	somebody                // any user
	directory               // a directory user, for themselves
	manager                 // a cluster administrator
)

// table returns the calls, a fixed segment before "{}" where both would match.
func table() []route {
	return []route{
		{"POST", "token", "vms.post_token", everybody, (*call).postToken},
		{"POST", "token/refresh", "vms.post_token_refresh", everybody, (*call).postTokenRefresh},
		{"GET", "s3keys", "vms.get_s3keys", directory, (*call).getS3Keys},
		{"POST", "s3keys", "vms.post_s3keys", directory, (*call).postS3Keys},
		{"DELETE", "s3keys", "vms.delete_s3keys", directory, (*call).deleteS3KeyByBody}, // the form of 2024
		{"DELETE", "s3keys/{}", "vms.delete_s3keys", directory, (*call).deleteS3Key},
		{"GET", "users/query", "vms.get_users_query", manager, (*call).getUsersQuery},
		{"PATCH", "users/query", "vms.patch_users_query", manager, (*call).patchUsersQuery},
		{"POST", "users/non_local_keys", "vms.post_users_non_local_keys", manager, (*call).postNonLocalKeys},
		{"PATCH", "users/non_local_keys", "vms.patch_users_non_local_keys", manager, (*call).patchNonLocalKeys},
		{"DELETE", "users/non_local_keys", "vms.delete_users_non_local_keys", manager, (*call).deleteNonLocalKeys},
		{"GET", "users", "vms.get_users", manager, (*call).getUsers},
		{"POST", "users", "vms.post_users", manager, (*call).postUsers},
		{"GET", "users/{}", "vms.get_users_id", manager, (*call).getUser},
		{"PATCH", "users/{}", "vms.patch_users_id", manager, (*call).patchUser},
		{"DELETE", "users/{}", "vms.delete_users_id", manager, (*call).deleteUser},
		{"POST", "users/{}/access_keys", "vms.post_users_access_keys", manager, (*call).postAccessKeys},
		{"PATCH", "users/{}/access_keys", "vms.patch_users_access_keys", manager, (*call).patchAccessKeys},
		{"DELETE", "users/{}/access_keys", "vms.delete_users_access_keys", manager, (*call).deleteAccessKeys},
		{"GET", "locals3keys", "vms.get_locals3keys", manager, (*call).getLocalS3Keys},
		{"GET", "apitokens", "vms.get_apitokens", manager, (*call).getAPITokens},
		{"POST", "apitokens", "vms.post_apitokens", manager, (*call).postAPITokens},
		{"GET", "apitokens/{}", "vms.get_apitokens_id", manager, (*call).getAPIToken},
		{"PATCH", "apitokens/{}", "vms.patch_apitokens_id", manager, (*call).patchAPIToken},
		{"PATCH", "apitokens/{}/revoke", "vms.patch_apitokens_revoke", manager, (*call).revokeAPIToken},
		{"GET", "tenants", "vms.get_tenants", manager, (*call).getTenants},
		{"GET", "versions", "vms.get_versions", somebody, (*call).getVersions},
	}
}

// Routes returns the names of all routes, sorted.
func Routes() []string {
	var names []string
	for _, r := range table() {
		names = append(names, r.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Routes returns the names of all routes, sorted.
func (s *Server) Routes() []string { return Routes() }

// Route names the call that r makes, such as "vms.post_s3keys", or is empty.
func (s *Server) Route(r *http.Request) string {
	found, _, _ := match(r)
	return found.name
}

// LogPath is the path of r with access keys masked but for their last four characters.
func (s *Server) LogPath(r *http.Request) string {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i := 1; i < len(segments); i++ {
		if segments[i-1] == "s3keys" && segments[i] != "" {
			segments[i] = Mask(segments[i])
		}
	}
	return strings.Join(segments, "/")
}

// Mask hides an access key but for its last four characters.
func Mask(accessKey string) string {
	if len(accessKey) < 12 {
		return "****"
	}
	return "****" + accessKey[len(accessKey)-4:]
}

// match finds the call of r and what stands for "{}". With a zero route,
// known says whether the path exists for another method.
func match(r *http.Request) (found route, param string, known bool) {
	segments, ok := split(r.URL.EscapedPath())
	if !ok {
		return route{}, "", false
	}
	for _, candidate := range table() {
		got, ok := fits(candidate.pattern, segments)
		if !ok {
			continue
		}
		if candidate.method == r.Method {
			return candidate, got, true
		}
		known = true
	}
	return route{}, "", known
}

// split takes the prefix and the closing slash off a path. /api/, /api/v5/ and
// /api/latest/ are the same API; every path ends with a slash.
func split(path string) ([]string, bool) {
	rest, ok := strings.CutPrefix(path, "/api/")
	if !ok {
		return nil, false
	}
	rest, ok = strings.CutSuffix(rest, "/")
	if !ok || rest == "" {
		return nil, false
	}
	segments := strings.Split(rest, "/")
	if segments[0] == "v5" || segments[0] == "latest" {
		segments = segments[1:]
	}
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "" {
			return nil, false
		}
		segments[i] = plain
	}
	return segments, len(segments) > 0
}

func fits(pattern string, segments []string) (param string, ok bool) {
	parts := strings.Split(pattern, "/")
	if len(parts) != len(segments) {
		return "", false
	}
	for i, part := range parts {
		switch {
		case part == "{}":
			param = segments[i]
		case part != segments[i]:
			return "", false
		}
	}
	return param, true
}
