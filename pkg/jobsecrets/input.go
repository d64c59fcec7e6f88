package jobsecrets

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// InputOptions say how a value that came from stdin, a file or a prompt is read.
type InputOptions struct {
	Source     string // for messages, such as "stdin" or the file's name
	Raw        bool   // keep every byte, a last newline too
	AllowEmpty bool
}

// InputValue is the text that was meant by what came in: one line that ends in
// a newline loses it, anything with a newline inside is kept byte for byte (a
// PEM file needs its last one). Bytes that are not UTF-8 and an empty value
// are Usage.
func InputValue(data []byte, o InputOptions) (secret.Text, error) {
	if !utf8.Valid(data) {
		return secret.Text{}, failure.New(failure.Usage, "the value from %s is not UTF-8", o.Source).
			WithHint("store it as text: base64 FILE | valetkey secrets set NAME --stdin")
	}
	if !o.Raw {
		data = trimLine(data)
	}
	if len(data) == 0 && !o.AllowEmpty {
		return secret.Text{}, failure.New(failure.Usage, "the value from %s is empty", o.Source).WithHint("--allow-empty stores an empty value")
	}
	return secret.New(bytes.Clone(data)), nil
}

func trimLine(data []byte) []byte {
	line, ok := bytes.CutSuffix(data, []byte("\n"))
	if !ok || bytes.IndexByte(line, '\n') >= 0 {
		return data
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}

// TextValue encodes text as the JSON string that a document holds.
func TextValue(text secret.Text) (secret.Text, error) {
	if !utf8.Valid(text.Bytes()) {
		return secret.Text{}, failure.New(failure.Usage, "the value is not UTF-8").WithHint("store it as text, encoded with base64")
	}
	return secret.New(quote(text.Reveal())), nil
}

// JSONValue checks that text is one JSON value, which is stored as it is, its
// numbers digit by digit. Anything else is Usage.
func JSONValue(text secret.Text) (secret.Text, error) {
	b := bytes.Trim(text.Bytes(), space)
	if !utf8.Valid(b) || !json.Valid(b) {
		// json's own words would show a part of the value.
		return secret.Text{}, failure.New(failure.Usage, "the value is not JSON").WithHint("without --json it is stored as text")
	}
	return secret.New(compact(b)), nil
}

// Display is how `get` prints a value that is given as JSON: the text of a
// string, anything else as compact JSON. A string with half of a surrogate
// pair in it cannot be printed as text and is Usage.
func Display(value secret.Text) (secret.Text, error) {
	v := value.Bytes()
	if !isString(v) {
		return secret.New(compact(v)), nil
	}
	runes := decode(v)
	for _, r := range runes {
		if utf16.IsSurrogate(r) {
			return secret.Text{}, failure.New(failure.Usage, "the value holds half of a surrogate pair, which is no text").
				WithHint("-o json prints it as it is stored")
		}
	}
	return secret.FromString(string(runes)), nil
}
