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
	if value.IsEmpty() {
		return failure.New(failure.Usage, "the value of %s is empty", row.Name)
	}
	if _, err := row.parse(value.Reveal()); err != nil {
		return failure.Wrap(failure.Usage, err, "set %s", row.Name).WithHint("%s: %s", row.Name, row.Help)
	}
	return nil
}
