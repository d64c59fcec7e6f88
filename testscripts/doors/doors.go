// Package doors holds the one-way doors between the packages of valetkey: which
// room may import which, and what only some of them may touch (the environment,
// the clock, the standard streams, the way out of the process).
//
// The table is in rooms_test.go, the test that holds it in doors_test.go. golangci-lint
// says the same in the editor; this test needs nothing but Go.
package doors
