// Package vmsfacts checks requests and answers of the VMS REST API against the
// facts known of it, so that the client and the simulator are held to the same
// outside word. It is for tests: nothing else imports it.
package vmsfacts

import (
	"bytes"
	"context"
	_ "embed" // the facts
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

//go:embed testdata/vms-openapi-facts.json
var facts []byte

// Checker holds requests and answers against the facts. It is safe for
// concurrent use.
type Checker struct {
	router  routers.Router
	options *openapi3filter.Options
}

// New loads the facts, applies [Differences] and forbids unknown names.
func New() (*Checker, error) {
	doc, err := openapi3.NewLoader().LoadFromData(facts)
	if err != nil {
		return nil, err
	}
	// The file names no server; these are the prefixes clients use.
	doc.Servers = openapi3.Servers{{URL: "/api"}, {URL: "/api/v5"}, {URL: "/api/latest"}}
	forbidUnknownNames(doc)
	for _, d := range Differences {
		if err := apply(doc, d); err != nil {
			return nil, fmt.Errorf("difference %s %s %s: %w", d.Kind, d.Method, d.Path, err)
		}
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &Checker{router: router, options: &openapi3filter.Options{
		// The file's header "ApiToken" is not what the wire takes.
		AuthenticationFunc:                openapi3filter.NoopAuthenticationFunc,
		IncludeResponseStatus:             true,
		SkipSettingDefaults:               true,
		RejectWhenRequestBodyNotSpecified: true,
	}}, nil
}

// CheckRequest reports how req differs from what the API takes: path, method,
// query parameters, body fields and their types, unknown names, a missing body.
// It works on both sides of the wire and leaves the body readable.
func (c *Checker) CheckRequest(req *http.Request) error {
	in, err := c.input(req)
	if err != nil {
		return err
	}
	if err := checkQuery(req, in.Route); err != nil {
		return err
	}
	if err := checkBodyPresent(req, in.Route.Operation); err != nil {
		return err
	}
	return openapi3filter.ValidateRequest(req.Context(), in)
}

// CheckResponse reports how an answer to req differs from what the API answers.
// A status of 400 or more that the facts do not declare is not judged.
func (c *Checker) CheckResponse(req *http.Request, status int, header http.Header, body []byte) error {
	in, err := c.input(req)
	if err != nil {
		if status >= 400 {
			return nil
		}
		return err
	}
	declared := in.Route.Operation.Responses.Status(status)
	if declared == nil && status >= 400 {
		return nil
	}
	if status == http.StatusNoContent && len(body) > 0 {
		return errors.New("204 with a body")
	}
	if body, err = plain(body, wantsList(declared)); err != nil {
		return err
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: header, Options: c.options}
	out.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(req.Context(), out)
}

func (c *Checker) input(req *http.Request) (*openapi3filter.RequestValidationInput, error) {
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	return &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: c.options}, nil
}

// checkQuery refuses query parameters the operation does not have: the
// validator itself lets them pass.
func checkQuery(req *http.Request, route *routers.Route) error {
	known := map[string]bool{}
	for _, list := range []openapi3.Parameters{route.PathItem.Parameters, route.Operation.Parameters} {
		for _, p := range list {
			if p.Value != nil && p.Value.In == openapi3.ParameterInQuery {
				known[p.Value.Name] = true
			}
		}
	}
	for name := range req.URL.Query() {
		if !known[name] {
			return fmt.Errorf("%s %s: unknown query parameter %q", req.Method, route.Path, name)
		}
	}
	return nil
}

// checkBodyPresent wants a body where the facts require a field: they mark no
// body as required, so the validator would accept none at all.
func checkBodyPresent(req *http.Request, op *openapi3.Operation) error {
	body, err := peek(req)
	if err != nil {
		return err
	}
	if op.RequestBody == nil || op.RequestBody.Value == nil {
		if len(body) > 0 {
			return fmt.Errorf("%s %s takes no body", req.Method, req.URL.Path)
		}
		return nil
	}
	media := op.RequestBody.Value.Content.Get("application/json")
	if len(body) == 0 && media != nil && media.Schema != nil && len(media.Schema.Value.Required) > 0 {
		return fmt.Errorf("%s %s: no body, but %v are required", req.Method, req.URL.Path, media.Schema.Value.Required)
	}
	return nil
}

func peek(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close()
	req.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

func wantsList(r *openapi3.ResponseRef) bool {
	if r == nil || r.Value == nil {
		return false
	}
	media := r.Value.Content.Get("application/json")
	return media != nil && media.Schema != nil && media.Schema.Value.Type.Is("array")
}

// plain takes a list out of its envelope and drops nulls, the differences
// Envelope and Null.
func plain(body []byte, list bool) ([]byte, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return body, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if envelope, ok := v.(map[string]any); ok && list {
		for name := range envelope {
			if !strings.Contains(" count next previous results ", " "+name+" ") {
				return nil, fmt.Errorf("unknown member %q in a list's envelope", name)
			}
		}
		v = envelope["results"]
	}
	return json.Marshal(dropNulls(v))
}

func dropNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
				continue
			}
			v[name] = dropNulls(member)
		}
	case []any:
		for i := range v {
			v[i] = dropNulls(v[i])
		}
	}
	return v
}
