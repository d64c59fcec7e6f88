package settings

// List returns every setting in the order of the table, for `config list`. A
// bad value is an error; a default that has no place (no home) is just empty.
func (s *Settings) List() ([]Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Value, 0, len(table))
	for _, row := range table {
		v, err := s.lookup(row)
		if err != nil && v.Source != "default" {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// Get returns one setting, for `config get`. It is [Settings.Lookup].
func (s *Settings) Get(name string) (Value, error) { return s.Lookup(name) }
