package presign

// AppendEscaped lets the tests look at the escaping alone.
var AppendEscaped = appendEscaped
