package vmsfacts

import (
	"errors"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
)

// forbidUnknownNames closes every object schema that lists properties. Parts of
// an allOf stay open, since each sees the other's names.
func forbidUnknownNames(doc *openapi3.T) {
	w := &walker{seen: map[*openapi3.Schema]bool{}, open: map[*openapi3.Schema]bool{}}
	for _, s := range doc.Components.Schemas {
		w.walk(s)
	}
	for _, b := range doc.Components.RequestBodies {
		w.content(b.Value.Content)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody != nil && op.RequestBody.Value != nil {
				w.content(op.RequestBody.Value.Content)
			}
			for _, r := range op.Responses.Map() {
				if r.Value != nil {
					w.content(r.Value.Content)
				}
			}
		}
	}
	no := false
	for s := range w.seen {
		if len(s.Properties) > 0 && len(s.AllOf) == 0 && !w.open[s] && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
			s.AdditionalProperties.Has = &no
		}
	}
}

type walker struct{ seen, open map[*openapi3.Schema]bool }

func (w *walker) content(c openapi3.Content) {
	for _, media := range c {
		w.walk(media.Schema)
	}
}

func (w *walker) walk(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil || w.seen[ref.Value] {
		return
	}
	s := ref.Value
	w.seen[s] = true
	w.walk(s.Items)
	for _, p := range s.Properties {
		w.walk(p)
	}
	for _, part := range s.AllOf {
		if part.Value != nil {
			w.open[part.Value] = true
		}
		w.walk(part)
	}
}

var errNoPlace = errors.New("the facts have no such place")

// apply changes the document so that the difference is allowed. Kinds that the
// checker itself handles change nothing here.
func apply(doc *openapi3.T, d Difference) error {
	switch d.Kind {
	case Envelope, Null, Errors:
		return nil
	case Route:
		return addRoute(doc, d)
	case NoSlash:
		item := doc.Paths.Value(d.Path)
		if item == nil {
			return errNoPlace
		}
		doc.Paths.Delete(d.Path)
		doc.Paths.Set(d.Path+"/", item)
		return nil
	}
	item := doc.Paths.Value(d.Path)
	if item == nil || item.GetOperation(d.Method) == nil {
		return errNoPlace
	}
	op := item.GetOperation(d.Method)
	switch d.Kind {
	case Query:
		for _, name := range d.Names {
			op.Parameters = append(op.Parameters, &openapi3.ParameterRef{
				Value: openapi3.NewQueryParameter(name).WithSchema(openapi3.NewStringSchema())})
		}
	case Field, Optional:
		return changeBody(op, d)
	case Status:
		for _, code := range d.Names {
			op.Responses.Set(code, success(op, code))
		}
	case AnyBody, Answer:
		return changeAnswers(op, d)
	default:
		return errors.New("unknown kind")
	}
	return nil
}

func addRoute(doc *openapi3.T, d Difference) error {
	item := doc.Paths.Value(d.Path)
	if item == nil {
		return errNoPlace
	}
	no := false
	body := openapi3.NewObjectSchema().WithRequired(d.Names)
	for _, name := range d.Names {
		body.WithProperty(name, openapi3.NewStringSchema())
	}
	body.AdditionalProperties.Has = &no
	op := openapi3.NewOperation()
	op.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).WithJSONSchema(body)}
	op.Responses = openapi3.NewResponsesWithCapacity(1)
	op.Responses.Set("204", success(op, "204"))
	item.SetOperation(d.Method, op)
	return nil
}

// success is the operation's declared success under another code, without a
// body schema where there is none.
func success(op *openapi3.Operation, code string) *openapi3.ResponseRef {
	answer := openapi3.NewResponse().WithDescription("as other successes")
	for declared, r := range op.Responses.Map() {
		if n, err := strconv.Atoi(declared); err == nil && n/100 == 2 && code != "204" && r.Value != nil {
			answer.Content = r.Value.Content
		}
	}
	return &openapi3.ResponseRef{Value: answer}
}

func changeBody(op *openapi3.Operation, d Difference) error {
	if op.RequestBody == nil {
		return errNoPlace
	}
	schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
	for _, name := range d.Names {
		if d.Kind == Field {
			schema.WithProperty(name, openapi3.NewSchema())
			continue
		}
		kept := schema.Required[:0:0]
		for _, required := range schema.Required {
			if required != name {
				kept = append(kept, required)
			}
		}
		schema.Required = kept
	}
	return nil
}

func changeAnswers(op *openapi3.Operation, d Difference) error {
	for code, r := range op.Responses.Map() {
		media := r.Value.Content.Get("application/json")
		if code[0] != '2' || media == nil {
			continue
		}
		if d.Kind == AnyBody {
			media.Schema = openapi3.NewSchema().NewRef()
			continue
		}
		for _, name := range d.Names {
			media.Schema.Value.WithProperty(name, openapi3.NewStringSchema())
		}
	}
	return nil
}
