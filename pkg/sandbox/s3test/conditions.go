package s3test

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// conditions are the four headers that make a request depend on what is there.
type conditions struct {
	match, noneMatch               string
	modifiedSince, unmodifiedSince time.Time
}

func readConditions(h http.Header, prefix string) conditions {
	at := func(name string) time.Time {
		t, err := http.ParseTime(h.Get(prefix + name))
		if err != nil { // an unreadable date is no condition
			return time.Time{}
		}
		return t
	}
	return conditions{
		match: h.Get(prefix + "If-Match"), noneMatch: h.Get(prefix + "If-None-Match"),
		modifiedSince: at("If-Modified-Since"), unmodifiedSince: at("If-Unmodified-Since"),
	}
}

// check holds the conditions against an object. unchanged is the error of an
// object that is what the caller has already. A condition on the ETag outweighs
// the one on the date that says the same.
func (c conditions) check(o *object, unchanged *apiError) *apiError {
	modified := o.modified.Truncate(time.Second)
	switch {
	case c.match != "":
		if !matchesTag(c.match, o.etag) {
			return errPrecondition.with("Condition", "If-Match")
		}
	case !c.unmodifiedSince.IsZero() && modified.After(c.unmodifiedSince):
		return errPrecondition.with("Condition", "If-Unmodified-Since")
	}
	switch {
	case c.noneMatch != "":
		if matchesTag(c.noneMatch, o.etag) {
			return unchanged.with("Condition", "If-None-Match")
		}
	case !c.modifiedSince.IsZero() && !modified.After(c.modifiedSince):
		return unchanged.with("Condition", "If-Modified-Since")
	}
	return nil
}

func matchesTag(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == etag {
			return true
		}
	}
	return false
}

// onWrite is the condition of a request that would replace or delete an object.
func onWrite(h http.Header) func(*object) *apiError {
	match, noneMatch := h.Get("If-Match"), h.Get("If-None-Match")
	return func(old *object) *apiError {
		switch {
		case match != "" && old == nil:
			return errNoSuchKey
		case match != "" && !matchesTag(match, old.etag):
			return errPrecondition.with("Condition", "If-Match")
		case noneMatch != "" && old != nil && matchesTag(noneMatch, old.etag):
			return errPrecondition.with("Condition", "If-None-Match")
		}
		return nil
	}
}

// parseRange reads a Range header against a size. Like S3 it ignores what is no
// range of bytes, and several ranges at once: whole is then true.
func parseRange(header string, size int64) (offset, length int64, whole bool, err *apiError) {
	spec, ok := strings.CutPrefix(strings.TrimSpace(header), "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return 0, size, true, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	from, fromOK := bound(first)
	to, toOK := bound(last)
	switch {
	case !ok, !fromOK, !toOK, first == "" && last == "":
		return 0, size, true, nil
	case first == "": // the last bytes
		n := min(to, size)
		if n == 0 {
			return 0, 0, false, errInvalidRange
		}
		return size - n, n, false, nil
	}
	start, end := from, size-1
	if last != "" {
		if to < from {
			return 0, size, true, nil
		}
		end = min(end, to)
	}
	if start >= size {
		return 0, 0, false, errInvalidRange
	}
	return start, end - start + 1, false, nil
}

// bound reads an end of a range; an empty one is no fault.
func bound(s string) (int64, bool) {
	if s == "" {
		return 0, true
	}
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
