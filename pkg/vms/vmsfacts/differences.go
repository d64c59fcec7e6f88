package vmsfacts

// Kind is what a [Difference] allows.
type Kind string

// The kinds of differences.
const (
	Route    Kind = "route"    // the operation is not in the file; Names are its required string body fields
	Query    Kind = "query"    // Names are further query parameters
	Field    Kind = "field"    // Names are further body fields of the request
	Optional Kind = "optional" // Names are body fields that the file requires and the wire does not
	Status   Kind = "status"   // Names are further status codes of success
	AnyBody  Kind = "any body" // the answer may be any JSON
	NoSlash  Kind = "no slash" // the file writes the path without the slash that clients send
	Envelope Kind = "envelope" // a list may come as {"count","next","previous","results"}
	Null     Kind = "null"     // a member may be null where the file has no nullable field
	Errors   Kind = "errors"   // undeclared statuses of 400 and more are not judged
	Answer   Kind = "answer"   // Names are further members of the answer
)

// Difference is a place where the wire is known to differ from the file, and why we believe so.
type Difference struct {
	Kind         Kind
	Method, Path string // as in the file; empty means everywhere
	Names        []string
	Reason       string
}

// Differences is the one table of them. Everything else must be as the file says.
var Differences = []Difference{
	{Route, "DELETE", "/s3keys/", []string{"access_key"}, "the form of 2024, before the key moved into the path; field guides still show it"},
	{Field, "POST", "/users/non_local_keys/", []string{"access_key", "secret_key", "enabled"}, "newer servers let the caller choose the pair; VAST's own provider sends these"},
	{Optional, "PATCH", "/users/non_local_keys/", []string{"uid"}, "VAST's own provider names the user by sid alone"},
	{Query, "GET", "/users/", []string{"name"}, "lists take filters by field; VAST's own clients look users up by name"},
	{Query, "GET", "/s3policies/", []string{"page_size", "name"}, "lists take filters by field; both are known to work"},
	{Query, "GET", "/versions/", []string{"status"}, "VAST's storage driver asks for status=success"},
	{Query, "GET", "/tenants/", []string{"name"}, "lists take filters by field; VAST's own provider asks for the exact name"},
	{Status, "POST", "/s3keys/", []string{"200"}, "older releases answered 200"},
	{Status, "DELETE", "/s3keys/", []string{"200", "201", "204"}, "public clients record all three for deletes"},
	{Status, "DELETE", "/s3keys/{access_key}/", []string{"200", "201"}, "public clients record all three for deletes"},
	{Status, "DELETE", "/users/{id}/", []string{"200", "201"}, "public clients record all three for deletes"},
	{Status, "DELETE", "/users/{id}/access_keys/", []string{"200", "201"}, "public clients record all three for deletes"},
	{Status, "DELETE", "/users/non_local_keys/", []string{"200", "201"}, "public clients record all three for deletes"},
	{AnyBody, "GET", "/s3keys/", nil, "the file says an object and names no field; which shape clusters send is not known"},
	{AnyBody, "GET", "/users/names/", nil, "the file says an object and names no field"},
	{Answer, "POST", "/token/", []string{"csrftoken"}, "seen on a live cluster"},
	{NoSlash, "GET", "/iamroles/{id}/credentials", nil, "clients end every path with a slash"},
	{NoSlash, "PATCH", "/iamroles/{id}/revoke_access_keys", nil, "clients end every path with a slash"},
	{NoSlash, "PATCH", "/apitokens/{id}/revoke", nil, "clients end every path with a slash"},
	{Envelope, "GET", "", nil, "the file always says a bare array; clusters send either"},
	{Null, "", "", nil, "the file has no nullable field; the wire sends at least \"next\": null"},
	{Errors, "", "", nil, "almost no error answer is declared"},
}
