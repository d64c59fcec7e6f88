package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/valetkey/valetkey/pkg/secret"
)

const canary = "canary-7f3a"

type holder struct {
	Name  string
	Value secret.Text
	Ptr   *secret.Text
}

func TestNothingShowsTheValue(t *testing.T) {
	text := secret.FromString(canary)
	h := holder{Name: "n", Value: text, Ptr: &text}
	seen := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s", "%p"} {
		seen["text "+verb] = fmt.Sprintf(verb, text)
		seen["struct "+verb] = fmt.Sprintf(verb, h)
		seen["pointer "+verb] = fmt.Sprintf(verb, &h)
	}
	seen["error"] = fmt.Errorf("bad %v: %w", text, errors.New("x")).Error()
	encode := map[string]func() ([]byte, error){
		"json": func() ([]byte, error) { return json.Marshal(h) },
		"key":  func() ([]byte, error) { return json.Marshal(map[string]any{"a": text}) },
		"yaml": func() ([]byte, error) { return yaml.Marshal(h) },
		"xml":  func() ([]byte, error) { return xml.Marshal(h) },
		"gob": func() ([]byte, error) {
			var b bytes.Buffer
			_ = gob.NewEncoder(&b).Encode(h)
			return b.Bytes(), nil
		},
		"slog": func() ([]byte, error) {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "value", text, "holder", h)
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "value", text, "holder", h)
			return b.Bytes(), nil
		},
	}
	for name, f := range encode {
		out, err := f()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen[name] = string(out)
	}
	hex := fmt.Sprintf("%x", canary)
	for name, out := range seen {
		if strings.Contains(out, canary) || strings.Contains(strings.ToLower(out), hex) || strings.Contains(out, "Y2FuYXJ5") {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
}

func TestValue(t *testing.T) {
	text := secret.New([]byte(canary))
	if text.Reveal() != canary || text.Len() != len(canary) || text.IsEmpty() {
		t.Error("the value does not come out")
	}
	if !text.Equal(secret.FromString(canary)) || text.Equal(secret.FromString("x")) || text.Equal(secret.Text{}) {
		t.Error("Equal is wrong")
	}
	text.Zero()
	if strings.Trim(text.Reveal(), "\x00") != "" {
		t.Error("Zero left something")
	}
	if !(secret.Text{}).IsEmpty() {
		t.Error("the zero value is not empty")
	}
}
