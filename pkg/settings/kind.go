package settings

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind is the type of a setting's value.
type Kind int

// The kinds of values.
const (
	Text     Kind = iota // any text
	Bool                 // true or false
	Duration             // see ParseDuration
	Enum                 // one of Row.Choices
	List                 // words separated by commas; in the file also a YAML list
	Argv                 // a program and its arguments: a list of strings
	Path                 // a file or directory; ~/ and relative paths in the config file start at the home and at the file's directory
	Address              // host, host:port or URL
)

var kindNames = [...]string{"string", "bool", "duration", "choice", "list", "command", "path", "address"}

// String is the word that help and the reference page use.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// parsed is a checked value.
type parsed struct {
	text     string
	list     []string
	on       bool
	duration time.Duration
}

// parse checks text against the row. Its errors never hold the text of a secret.
func (r Row) parse(text string) (parsed, error) {
	p := parsed{text: text}
	if !utf8.ValidString(text) {
		return p, errors.New("it is not valid UTF-8")
	}
	if r.Name != "vms.password" && r.Name != "vault.auth.password" && strings.ContainsFunc(text, unicode.IsControl) {
		return p, errors.New("it holds a control character or a line break")
	}
	var err error
	switch r.Kind {
	case Bool:
		p.on, err = parseBool(text)
		p.text = strconv.FormatBool(p.on)
	case Duration:
		if slices.Contains(r.Choices, text) {
			break
		}
		p.duration, err = ParseDuration(text)
		if err == nil && p.duration <= 0 {
			err = fmt.Errorf("%s is not more than zero", quote(text))
		}
	case Enum:
		if !slices.Contains(r.Choices, text) {
			err = fmt.Errorf("%s is not one of %s", quote(text), strings.Join(r.Choices, ", "))
		}
	case List:
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word != "" {
				p.list = append(p.list, word)
			}
		}
	case Argv:
		if json.Unmarshal([]byte(text), &p.list) != nil || len(p.list) == 0 || p.list[0] == "" {
			err = errors.New(`it is not a list of strings such as ["pass", "show", "vms"]`)
		}
	case Address:
		err = checkAddress(text)
	}
	if err == nil && r.check != nil && text != "" {
		err = r.check(text)
	}
	return p, err
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on", "t", "y":
		return true, nil
	case "false", "0", "no", "off", "f", "n":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither true nor false", quote(text))
}

// checkAddress refuses what could never be an address and what would show a
// password in `config list`. The clients say more when they use it.
func checkAddress(text string) error {
	switch {
	case strings.Contains(text, "@"):
		return errors.New("it holds a user name or password; these are settings of their own")
	case strings.ContainsFunc(text, unicode.IsSpace):
		return fmt.Errorf("%s holds a space", quote(text))
	}
	return nil
}

func checkAPIVersion(text string) error {
	digits, found := strings.CutPrefix(text, "v")
	if text == "latest" || found && digits != "" && strings.Trim(digits, "0123456789") == "" {
		return nil
	}
	return fmt.Errorf("%s is neither a version such as v5 nor latest", quote(text))
}

// checkPin takes SHA-256 sums as curl writes them (sha256//BASE64), in base64
// or in hex with or without colons, several of them separated by ";" or ",".
func checkPin(text string) error {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == ',' }) {
		part = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(part), "sha256//"), "sha256/")
		sum, err := hex.DecodeString(strings.ReplaceAll(part, ":", ""))
		if err != nil {
			sum, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(part, "="))
		}
		if err != nil || len(sum) != 32 {
			return fmt.Errorf("%s is not a SHA-256 sum in base64 or hex", quote(part))
		}
	}
	return nil
}

// quote shows a value in an error, shortened and with control characters made visible.
func quote(text string) string {
	const limit = 80
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit]) + "…"
	}
	return strconv.Quote(text)
}
