package jobsecrets

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Layout is how the secrets of a job lie in a document.
type Layout string

// The layouts.
const (
	// VDK is the Control Service's: {"jobName":"team/job","secretsJson":"{…}"},
	// where secretsJson is text that holds one JSON object.
	VDK Layout = "vdk"
	// Flat has every secret as a member of the document.
	Flat Layout = "flat"
)

const (
	innerMember = "secretsJson"
	nameMember  = "jobName"
)

// document is what lies at a job's path, taken apart.
type document struct {
	version int
	exists  bool   // there is a newest version that is not deleted
	layout  Layout // as found; empty when there is nothing to find
	outer   object // the whole document; nil if there is none
	secrets object
}

// take takes a document apart. One with a text in secretsJson is vdk, any
// other that is not empty is flat.
func take(job Job, d Document) (document, error) {
	doc := document{version: d.Version}
	if d.Data == nil {
		return doc, nil
	}
	doc.exists = true
	outer, err := parseObject(d.Data)
	if err != nil {
		return document{}, failure.New(failure.Network, "read the secrets of %s: the document is no JSON object", job)
	}
	doc.outer = outer
	inner, ok := outer.get(innerMember)
	switch {
	case len(outer) == 0:
		return doc, nil
	case !ok || !isString(inner):
		doc.layout, doc.secrets = Flat, outer
		return doc, nil
	}
	doc.layout = VDK
	var text string
	if err := json.Unmarshal(inner, &text); err != nil {
		return document{}, badInner(job)
	}
	// VDK writes {} for none; empty text and null can mean nothing else.
	if trimmed := bytes.Trim([]byte(text), space); len(trimmed) > 0 && string(trimmed) != "null" {
		if doc.secrets, err = parseObject(trimmed); err != nil {
			return document{}, badInner(job)
		}
	}
	return doc, nil
}

func badInner(job Job) error {
	return failure.New(failure.Network, "read the secrets of %s: %s in the document is no JSON object", job, innerMember).
		WithHint("an earlier version of the document in Vault may be whole")
}

// with builds the document that holds these secrets in the layout, with every
// member of the old one that is none of ours.
func (d document) with(job Job, layout Layout, secrets object) json.RawMessage {
	if layout == Flat {
		return secrets.bytes()
	}
	outer := d.outer
	if len(outer) == 0 {
		outer = object{}.set(nameMember, quote(job.String()))
	}
	return outer.set(innerMember, quote(string(secrets.bytes()))).bytes()
}

// exact fails for a value of a flat document that Vault would not give back as
// it is: it reads numbers into floats and text into Unicode. In the vdk layout
// all is text inside a text, and safe.
func exact(name string, value json.RawMessage) error {
	for i := 0; i < len(value); {
		end := i + 1
		switch c := value[i]; {
		case c == '"':
			end = i + valueEnd(value[i:])
			if slices.ContainsFunc(decode(value[i:end]), utf16.IsSurrogate) {
				return inexact(name, "half of a surrogate pair")
			}
		case c == '-' || c >= '0' && c <= '9':
			end = i + valueEnd(value[i:])
			number := string(value[i:end])
			f, err := strconv.ParseFloat(number, 64)
			if err != nil || canonical(number) != canonical(strconv.FormatFloat(f, 'e', -1, 64)) {
				return inexact(name, "a number")
			}
		}
		i = end
	}
	return nil
}

func inexact(name, what string) error {
	return failure.New(failure.Usage, "secret %s: vault would change %s in it", name, what).
		WithHint("store it as text, without --json, or in the vdk layout")
}

// canonical is a decimal number as its significant digits and exponent, so
// that 10, 1e1 and 10.0 are one.
func canonical(number string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	e, err := strconv.Atoi("0" + strings.TrimLeft(exponent, "+-"))
	if err != nil {
		return number
	}
	if strings.HasPrefix(exponent, "-") {
		e = -e
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	e -= len(fraction)
	short := strings.TrimRight(digits, "0")
	e += len(digits) - len(short)
	switch {
	case short == "":
		return "0"
	case negative:
		short = "-" + short
	}
	return short + "e" + strconv.Itoa(e)
}
