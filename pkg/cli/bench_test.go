package cli

import "testing"

// The tree is built at every start.
func BenchmarkCommand(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Command()
	}
}
