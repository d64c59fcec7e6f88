package presign_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/secret"
)

// busyRequest uses every part of a request.
func busyRequest() presign.Request {
	r := request()
	r.Key, r.VersionID = "in/2026/ü b+c.csv", "v1"
	r.Headers = []presign.Header{{Name: "X-Amz-Meta-A", Value: " a  b "}, {Name: "Content-Type", Value: "text/csv"}}
	r.ResponseHeaders = []presign.Header{{Name: "response-content-type", Value: "text/plain"}, {Name: "Expires", Value: "0"}}
	return r
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, addressing := range map[string]presign.Addressing{"path": presign.Path, "virtual": presign.Virtual} {
		c := config()
		c.Addressing = addressing
		c.Credentials.SessionToken = secret.FromString("token/+=")
		c.Credentials.Expires = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		s := signer(t, c)
		r, buf := busyRequest(), []byte(nil)
		allocs := testing.AllocsPerRun(200, func() {
			var err error
			r.Time = r.Time.Add(time.Second) // another time of the same day
			if buf, err = s.AppendURL(buf[:0], r); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations a URL", name, allocs)
		}
	}
}

// TestBuffer holds what AppendURL promises about dst.
func TestBuffer(t *testing.T) {
	t.Parallel()
	s := signer(t, config())
	want := sign(t, config(), busyRequest()).URL
	for _, room := range []int{0, 1, 10, 100, 300, 700, 2000} {
		dst := append(make([]byte, 0, room+5), "kept "...)
		got, err := s.AppendURL(dst, busyRequest())
		if err != nil || string(got) != "kept "+want {
			t.Errorf("room %d: %s %v", room, got, err)
		}
	}
	bad := request()
	bad.Key = ""
	if got, err := s.AppendURL([]byte("kept"), bad); err == nil || got != nil {
		t.Errorf("a bad request gave %q, %v", got, err)
	}
}

// TestConcurrentUse signs for many days at once with one signer: a key of another
// day must never be used. Run with -race.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	shared := signer(t, config())
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			var buf []byte
			for i := range 50 {
				r := request()
				r.Key = fmt.Sprintf("%d/%d", worker, i)
				r.Time = r.Time.AddDate(0, 0, (worker+i)%3)
				var err error
				if buf, err = shared.AppendURL(buf[:0], r); err != nil {
					t.Error(err)
					return
				}
				if alone := sign(t, config(), r).URL; string(buf) != alone {
					t.Errorf("shared signer: %s\nof its own: %s", buf, alone)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkAppendURL(b *testing.B) {
	s, r := signer(b, config()), request()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = s.AppendURL(buf[:0], r)
	}
}

func BenchmarkURL(b *testing.B) {
	s, r := signer(b, config()), request()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.URL(r)
	}
}

// BenchmarkSDK is what the others are measured against.
func BenchmarkSDK(b *testing.B) {
	c, r := config(), request()
	b.ReportAllocs()
	for b.Loop() {
		_ = sdkURL(b, c, r)
	}
}
