package vaulttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// What a request's JSON may hold. These are Vault 1.21's defaults, but for the
// length of a string: its 1 MiB, escapes included, is less than VDK allows for
// the secrets of a job, so the sandbox plays a server whose
// max_json_string_value_length has been raised.
const (
	maxDepth   = 300
	maxEntries = 10_000
	maxString  = 8 << 20
)

// verify checks a body as Vault does before it reads it; the error is Vault's.
func verify(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	type container struct {
		object, key bool
		count       int
		names       map[string]bool
	}
	var open []container
	for {
		before := dec.InputOffset()
		token, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF) && len(open) == 0:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("malformed JSON, unclosed containers")
		case err != nil:
			return err
		}
		if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
			open = open[:len(open)-1]
			continue
		}
		if text, ok := token.(string); ok {
			if dec.InputOffset()-before > maxString {
				return errors.New("JSON string value exceeds allowed length")
			}
			if n := len(open); n > 0 && open[n-1].object && open[n-1].key {
				in := &open[n-1]
				if in.names[text] {
					return fmt.Errorf("duplicate key '%s' in object", text)
				}
				in.names[text], in.key = true, false
				if in.count++; in.count > maxEntries {
					return errors.New("JSON object exceeds allowed entry count")
				}
				continue
			}
		}
		if n := len(open); n > 0 {
			in := &open[n-1]
			in.key = in.object
			if !in.object {
				if in.count++; in.count > maxEntries {
					return errors.New("JSON array exceeds allowed element count")
				}
			}
		}
		switch token := token.(type) {
		case json.Number:
			if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
				return fmt.Errorf("malformed JSON, invalid number syntax for '%s'", token)
			}
		case json.Delim:
			object := token == '{'
			open = append(open, container{object: object, key: object, names: map[string]bool{}})
			if len(open) > maxDepth {
				return errors.New("JSON input exceeds allowed nesting depth")
			}
		}
	}
}
