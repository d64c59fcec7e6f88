package vaulttest

// SetLimit changes how many bytes the server holds.
func (s *Server) SetLimit(n int) { s.limit = n }

// SetMaxRequest changes how large a request may be.
func (s *Server) SetMaxRequest(n int64) { s.maxRequest = n }
