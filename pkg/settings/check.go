package settings

import (
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// CheckValue makes the checks of Set and SetSecret and writes nothing.
func (s *Settings) CheckValue(name string, value secret.Text) error {
	row, err := s.settable(name)
	if err != nil {
		return err
	}
	_, err = row.checkNew(value.Reveal())
	return err
}

// checkNew checks a value that is to be written into the config file.
func (r Row) checkNew(value string) (parsed, error) {
	if value == "" {
		return parsed{}, failure.New(failure.Usage, "the value of %s is empty", r.Name)
	}
	p, err := r.parse(value)
	if err != nil {
		return p, failure.Wrap(failure.Usage, err, "set %s", r.Name).WithHint("%s: %s", r.Name, r.Help)
	}
	return p, nil
}
