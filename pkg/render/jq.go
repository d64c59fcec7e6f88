package render

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/itchyny/gojq"

	"github.com/valetkey/valetkey/pkg/failure"
)

// CheckJQ reports what is wrong with a jq program before there is anything to
// run it on; an error is failure.Usage. An empty program is none.
func CheckJQ(program string) error {
	if program == "" {
		return nil
	}
	_, err := compile(program)
	return err
}

func compile(program string) (*gojq.Code, error) {
	parsed, err := gojq.Parse(program)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, err, "parse the --jq program")
	}
	// The program sees no environment: $ENV would hand out credentials.
	code, err := gojq.Compile(parsed, gojq.WithEnvironLoader(func() []string { return nil }))
	if err != nil {
		return nil, failure.Wrap(failure.Usage, err, "compile the --jq program")
	}
	return code, nil
}

// query runs a jq program over the JSON shape of value. Strings are written as
// they are, one a line, anything else as compact JSON, as gh does it.
func query(program string, value any) ([]byte, error) {
	code, err := compile(program)
	if err != nil {
		return nil, err
	}
	text, err := marshal(value)
	if err != nil {
		return nil, err
	}
	var input any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&input); err != nil {
		return nil, failure.Wrap(failure.Internal, err, "read the answer for --jq")
	}
	var b bytes.Buffer
	for iter := code.Run(input); ; {
		v, ok := iter.Next()
		if !ok {
			return b.Bytes(), nil
		}
		if err, isErr := v.(error); isErr {
			var halt *gojq.HaltError
			if errors.As(err, &halt) && halt.Value() == nil {
				return b.Bytes(), nil
			}
			return nil, failure.Wrap(failure.Usage, err, "run the --jq program")
		}
		if s, isString := v.(string); isString {
			b.WriteString(s)
		} else {
			out, err := gojq.Marshal(v)
			if err != nil {
				return nil, failure.Wrap(failure.Internal, err, "write the --jq result")
			}
			b.Write(out)
		}
		b.WriteByte('\n')
	}
}
