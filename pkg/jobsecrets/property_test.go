package jobsecrets

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// value draws the text of a JSON value with all the freedom of its grammar.
func value(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		ws := rapid.StringMatching(`[ \n\r\t]?`)
		most := 5
		if depth <= 0 {
			most = 3
		}
		switch rapid.IntRange(0, most).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "word")
		case 1:
			return rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
		case 2, 3:
			return literal().Draw(t, "string")
		case 4:
			items := rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "items")
			return "[" + ws.Draw(t, "s") + strings.Join(items, ws.Draw(t, "s")+",") + "]"
		default:
			return objectText(depth-1).Draw(t, "object")
		}
	})
}

func literal() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(
			rapid.StringMatching(`[a-z/<é\x{2028}😀 {}\[\],:]`),
			rapid.SampledFrom([]string{`\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`, `\u0000`, `\u0041`, `\u00e9`, `\ud83d\ude00`, `\ud800`, `\udc00`, `\ud800\ud800`}),
		), 0, 6).Draw(t, "parts")
		return `"` + strings.Join(parts, "") + `"`
	})
}

func objectText(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		ws := rapid.StringMatching(`[ \n\r\t]?`)
		var members []string
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			s := ws.Draw(t, "s")
			members = append(members, s+literal().Draw(t, "key")+s+":"+s+value(depth).Draw(t, "value")+s)
		}
		return "{" + ws.Draw(t, "s") + strings.Join(members, ",") + "}"
	})
}

// What is taken apart and put together again is the same but for white space
// between members, and says to encoding/json what it said before.
func TestObjectRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := objectText(3).Draw(t, "text")
		o, err := parseObject([]byte(text))
		if err != nil {
			t.Fatal(err, text)
		}
		if !bytes.Equal(compact(o.bytes()), compact([]byte(text))) {
			t.Fatalf("%s became %s", text, o.bytes())
		}
		again, err := parseObject(o.bytes())
		if err != nil || !bytes.Equal(again.bytes(), o.bytes()) {
			t.Fatalf("%s is not stable: %v", o.bytes(), err)
		}
		var want map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &want) != nil {
			t.Fatal("not an object to encoding/json")
		}
		if got := o.values(); len(got) != len(want) {
			t.Fatalf("%d members, want %d", len(got), len(want))
		}
		for key, v := range want {
			if got, _ := o.get(key); !bytes.Equal(got, v) {
				t.Fatalf("%q: %s, want %s", key, got, v)
			}
		}
	})
}

// A change of one member leaves every other one as it was.
func TestObjectSetAndRemove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, err := parseObject([]byte(objectText(2).Draw(t, "text")))
		if err != nil {
			t.Fatal(err)
		}
		before := string(o.bytes())
		key := rapid.SampledFrom(append(o.keys(), "new", "a\"b\\")).Draw(t, "key")
		set := o.set(key, json.RawMessage(`"v"`))
		if v, ok := set.get(key); !ok || string(v) != `"v"` {
			t.Fatal("not set")
		}
		parsed, err := parseObject(set.bytes())
		if err != nil || !reflect.DeepEqual(parsed.keys(), set.keys()) {
			t.Fatalf("%s: %v", set.bytes(), err)
		}
		if _, ok := set.remove(key).get(key); ok {
			t.Fatal("not removed")
		}
		if !bytes.Equal(set.remove(key).bytes(), o.remove(key).bytes()) {
			t.Fatal("others changed")
		}
		if string(o.bytes()) != before {
			t.Fatal("the receiver changed")
		}
	})
}

// decode agrees with encoding/json wherever that one loses nothing.
func TestDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := literal().Draw(t, "text")
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got := string(decode([]byte(text))); got != want { // string() replaces halves as json does
			t.Fatalf("%s: %q, want %q", text, got, want)
		}
	})
}

// equal is an equivalence that compaction and other escapes do not disturb.
func TestEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := value(2).Draw(t, "a"), value(2).Draw(t, "b")
		if !equal([]byte(a), []byte(a)) || !equal([]byte(a), compact([]byte(a))) {
			t.Fatal("not equal to itself")
		}
		if equal([]byte(a), []byte(b)) != equal([]byte(b), []byte(a)) {
			t.Fatal("not symmetric")
		}
		if equal([]byte(a), []byte(b)) {
			var x, y any
			_ = json.Unmarshal([]byte(a), &x)
			_ = json.Unmarshal([]byte(b), &y)
			if !reflect.DeepEqual(x, y) {
				t.Fatalf("%s = %s", a, b)
			}
		}
	})
	if equal([]byte(`"\ud800"`), []byte(`"\ud801"`)) || equal([]byte(`"1"`), []byte(`1`)) {
		t.Error("different values are equal")
	}
}

// The size is never below that of the compact text with nothing escaped, and
// is that of Go's own encoding for plain characters.
func TestSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.StringMatching(`[a-zé"\\]{1,5}`), rapid.StringMatching(`[a-z0-9é\n"\\😀]*`)).Draw(t, "m")
		var o object
		for k, v := range m {
			o = o.set(k, quote(v))
		}
		if got, want := size(o), len(o.bytes()); got != want {
			t.Fatalf("%s: %d, want %d", o.bytes(), got, want)
		}
	})
}

// The escaping that counts is org.json's, whatever ours is.
func TestSizeOfCharacters(t *testing.T) {
	for literal, want := range map[string]int{
		`x`: 1, `\"`: 2, `\\`: 2, `/`: 1, `</`: 3, `\u003c\/`: 3, `<x/`: 3, `\u0001`: 6, `\t`: 2, `\u0009`: 2, "\u007f": 1, "\u0085": 6, "\u009f": 6,
		"\u00a0": 2, "é": 2, `\u00e9`: 2, "\u1fff": 3, "\u2000": 6, "\u2026": 6, "\u20ff": 6, "\u2100": 3, "😀": 4, `\ud83d\ude00`: 4, `\ud800`: 1, `&`: 1,
	} {
		o := object{}.set("a", json.RawMessage(`"`+literal+`"`))
		if got := size(o) - len(`{"a":""}`); got != want {
			t.Errorf("%s counts %d, want %d", literal, got, want)
		}
	}
	if got := size(object{}); got != 2 {
		t.Errorf("nothing counts %d", got)
	}
}

func TestCanonicalNumbers(t *testing.T) {
	same := [][]string{{"10", "1e1", "10.0", "1E+1", "100e-1"}, {"0", "-0", "0.000", "0e5"}, {"-1.5", "-15e-1"}, {"1e-7", "0.0000001"}}
	seen := map[string]string{}
	for _, group := range same {
		for _, n := range group {
			if canonical(n) != canonical(group[0]) {
				t.Errorf("%s and %s differ", n, group[0])
			}
		}
		if other := seen[canonical(group[0])]; other != "" {
			t.Errorf("%s is %s", group[0], other)
		}
		seen[canonical(group[0])] = group[0]
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` { "a" : [ {} , "]" ] , "a":"\"" } `, `{"a":tru}`, `{"a":1,}`, "{\"\xff\":1}", `{"\ud800":"\\"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := parseObject(text)
		var want map[string]json.RawMessage
		valid := json.Unmarshal(text, &want) == nil && want != nil && utf8.Valid(text)
		if (err == nil) != valid {
			t.Fatalf("%q: %v, json says %v", text, err, valid)
		}
		if err == nil && !json.Valid(o.bytes()) {
			t.Fatalf("%q became %q", text, o.bytes())
		}
		_ = size(o)
	})
}
