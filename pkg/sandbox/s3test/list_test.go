package s3test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Pages of any size, put together, are the whole listing in order.
func TestPagesAreComplete(t *testing.T) {
	key := rapid.StringMatching(`[ab/.ü]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		b := &bucket{objects: map[string]*object{}}
		for _, k := range rapid.SliceOfN(key, 0, 30).Draw(t, "keys") {
			b.objects[k] = &object{blob: &blob{}}
		}
		l := listing{
			prefix:    rapid.StringMatching(`[ab/]{0,2}`).Draw(t, "prefix"),
			delimiter: rapid.SampledFrom([]string{"", "/", "ab"}).Draw(t, "delimiter"),
			max:       rapid.IntRange(1, 8).Draw(t, "max"),
		}
		var want, got []string
		for k := range b.objects {
			rest, ok := strings.CutPrefix(k, l.prefix)
			if !ok {
				continue
			}
			if i := strings.Index(rest, l.delimiter); l.delimiter != "" && i >= 0 {
				k = l.prefix + rest[:i] + l.delimiter
			}
			want = append(want, k)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		for {
			p := l.take(b)
			var one []string
			for _, c := range p.contents {
				one = append(one, c.Key)
			}
			for _, c := range p.prefixes {
				one = append(one, c.Prefix)
			}
			if len(one) > l.max || p.truncated && len(one) != l.max {
				t.Fatalf("a page of %d where %d were asked for, truncated %v", len(one), l.max, p.truncated)
			}
			slices.Sort(one)
			got = append(got, one...)
			if !p.truncated {
				break
			}
			l.after = p.last
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}
