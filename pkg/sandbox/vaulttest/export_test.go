package vaulttest

// SetLimit changes how many bytes the server holds.
func (s *Server) SetLimit(n int) { s.limit = n }
