package jobsecrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// object is a JSON object that keeps what encoding/json would lose: the order
// of its members, the text of its numbers and strings, members given twice.
// What nobody changes is written back as it was read.
type object []member

type member struct {
	key   string          // decoded, for comparing
	raw   string          // the key as it was written, quotes included
	value json.RawMessage // as it was written
}

var errNoObject = errors.New("not a JSON object")

// parseObject splits a JSON object into its members. Nesting deeper than
// encoding/json's own limit of 10,000 is an error, as is invalid UTF-8.
func parseObject(text []byte) (object, error) {
	if !json.Valid(text) || !utf8.Valid(text) {
		return nil, errNoObject
	}
	text = bytes.Trim(text, space)
	if text[0] != '{' {
		return nil, errNoObject
	}
	// From here on the text is known to be well formed.
	var o object
	rest := bytes.TrimLeft(text[1:], space)
	for rest[0] != '}' {
		end := valueEnd(rest)
		m := member{raw: string(rest[:end])}
		if err := json.Unmarshal(rest[:end], &m.key); err != nil {
			return nil, errNoObject
		}
		rest = bytes.TrimLeft(rest[end:], space)
		rest = bytes.TrimLeft(rest[1:], space) // the colon
		end = valueEnd(rest)
		m.value = json.RawMessage(rest[:end:end])
		o = append(o, m)
		rest = bytes.TrimLeft(rest[end:], space)
		if rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], space)
		}
	}
	return o, nil
}

const space = " \t\r\n"

// valueEnd is the length of the JSON value at the start of well-formed text.
func valueEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of what the value, a number or a word, lies in
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// bytes writes the object without white space between its members.
func (o object) bytes() []byte {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, m.raw...), ':'), m.value...)
	}
	return append(b, '}')
}

// get returns the value of a member: the last one, if it is given twice, as
// every reader of VDK's takes it.
func (o object) get(key string) (json.RawMessage, bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].key == key {
			return o[i].value, true
		}
	}
	return nil, false
}

// set returns the object with the member changed in its place, once, or
// appended. The receiver is not changed.
func (o object) set(key string, value json.RawMessage) object {
	changed := make(object, 0, len(o)+1)
	done := false
	for _, m := range o {
		if m.key != key {
			changed = append(changed, m)
		} else if !done {
			changed = append(changed, member{key: key, raw: m.raw, value: value})
			done = true
		}
	}
	if !done {
		changed = append(changed, member{key: key, raw: string(quote(key)), value: value})
	}
	return changed
}

// remove returns the object without the member.
func (o object) remove(key string) object {
	changed := make(object, 0, len(o))
	for _, m := range o {
		if m.key != key {
			changed = append(changed, m)
		}
	}
	return changed
}

// keys are the names of all members, each once, in their order.
func (o object) keys() []string {
	seen := make(map[string]bool, len(o))
	keys := make([]string, 0, len(o))
	for _, m := range o {
		if !seen[m.key] {
			seen[m.key] = true
			keys = append(keys, m.key)
		}
	}
	return keys
}

// values are all members by name, the last one where a name is given twice.
func (o object) values() map[string]json.RawMessage {
	all := make(map[string]json.RawMessage, len(o))
	for _, m := range o {
		all[m.key] = m.value
	}
	return all
}

// quote encodes text as a JSON string. Text that is not UTF-8 must not come here.
func quote(text string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string always encodes
	return bytes.TrimRight(b.Bytes(), "\n")
}

// equal compares two values: strings by what they say, others by their text
// without white space.
func equal(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if isString(a) && isString(b) {
		return slices.Equal(decode(a), decode(b))
	}
	return bytes.Equal(compact(a), compact(b))
}

func isString(v json.RawMessage) bool { return len(v) > 0 && v[0] == '"' }

func compact(v json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return v
	}
	return b.Bytes()
}
