package s3test

import (
	"encoding/base64"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"
)

const maxListed = 1000 // entries of one answer

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	Owner        *owner `xml:",omitempty"`
	StorageClass string
}

type commonPrefix struct{ Prefix string }

// page is one answer of a listing.
type page struct {
	contents  []listed
	prefixes  []commonPrefix
	last      string // the last key or prefix of a truncated page
	truncated bool
}

// listing holds the parameters that both versions of the operation share.
type listing struct {
	prefix, delimiter, after string
	max                      int
	encoded                  bool
	owner                    bool
}

func (c *call) listing() (*listing, *apiError) {
	l := &listing{prefix: c.t.value("prefix"), delimiter: c.t.value("delimiter"), max: maxListed}
	switch v := c.t.value("encoding-type"); v {
	case "":
	case "url":
		l.encoded = true
	default:
		return nil, errInvalidArgument.saying("Invalid Encoding Method specified in Request").with("ArgumentName", "encoding-type").with("ArgumentValue", v)
	}
	n, err := c.count("max-keys")
	l.max = n
	return l, err
}

// count reads a parameter that bounds an answer.
func (c *call) count(name string) (int, *apiError) {
	v := c.t.value(name)
	if v == "" {
		return maxListed, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return 0, errInvalidArgument.saying("Argument "+name+" must be an integer between 0 and 2147483647").with("ArgumentName", name).with("ArgumentValue", v)
	}
	return min(int(n), maxListed), nil
}

func (l *listing) text(s string) string {
	if l.encoded {
		return escape(s, true)
	}
	return s
}

// take collects a page from the keys in order. A common prefix counts as one
// entry, and one at or before the marker was listed on an earlier page.
func (l *listing) take(b *bucket) page {
	var out page
	keys := b.keys()
	i, found := slices.BinarySearch(keys, max(l.after, l.prefix))
	if found && l.after >= l.prefix && l.after != "" {
		i++
	}
	n := 0
	for ; i < len(keys); i++ {
		key := keys[i]
		rest, ok := strings.CutPrefix(key, l.prefix)
		if !ok {
			break
		}
		group := ""
		if l.delimiter != "" {
			if head, _, cut := strings.Cut(rest, l.delimiter); cut {
				group = l.prefix + head + l.delimiter
			}
		}
		if group != "" && (group <= l.after || group == out.last) {
			continue
		}
		if n == l.max {
			out.truncated = n > 0
			break
		}
		n++
		if group != "" {
			out.prefixes = append(out.prefixes, commonPrefix{l.text(group)})
			out.last = group
			continue
		}
		out.last = key
		o := b.objects[key]
		entry := listed{
			Key: l.text(key), LastModified: stamp(o.modified), ETag: `"` + o.etag + `"`,
			Size: o.size, StorageClass: "STANDARD",
		}
		if l.owner {
			entry.Owner = &sandboxOwner
		}
		out.contents = append(out.contents, entry)
	}
	return out
}

func (c *call) page(l *listing) (page, *apiError) {
	var out page
	err := c.s.store.in(c.t.bucket, func(b *bucket) *apiError {
		out = l.take(b)
		return nil
	})
	return out, err
}

func (c *call) listObjectsV2() *apiError {
	l, err := c.listing()
	if err != nil {
		return err
	}
	l.owner = c.t.value("fetch-owner") == "true"
	l.after = c.t.value("start-after")
	token, continued := c.t.first("continuation-token")
	if continued {
		raw, err := base64.URLEncoding.DecodeString(token)
		if err != nil || token == "" {
			return errInvalidArgument.saying("The continuation token provided is incorrect").with("ArgumentName", "continuation-token")
		}
		l.after = string(raw)
	}
	p, err := c.page(l)
	if err != nil {
		return err
	}
	out := struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name                  string
		Prefix                string
		Delimiter             string `xml:",omitempty"`
		MaxKeys               int
		EncodingType          string `xml:",omitempty"`
		KeyCount              int
		IsTruncated           bool
		ContinuationToken     string `xml:",omitempty"`
		NextContinuationToken string `xml:",omitempty"`
		StartAfter            string `xml:",omitempty"`
		Contents              []listed
		CommonPrefixes        []commonPrefix
	}{
		Name: c.t.bucket, Prefix: l.text(l.prefix), Delimiter: l.text(l.delimiter), MaxKeys: l.max,
		EncodingType: c.t.value("encoding-type"), KeyCount: len(p.contents) + len(p.prefixes),
		IsTruncated: p.truncated, ContinuationToken: token, StartAfter: l.text(c.t.value("start-after")),
		Contents: p.contents, CommonPrefixes: p.prefixes,
	}
	if p.truncated {
		out.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(p.last))
	}
	return c.answer(out)
}

func (c *call) listObjects() *apiError {
	l, err := c.listing()
	if err != nil {
		return err
	}
	l.owner = true
	l.after = c.t.value("marker")
	p, err := c.page(l)
	if err != nil {
		return err
	}
	out := struct {
		XMLName        xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name           string
		Prefix         string
		Marker         string
		NextMarker     string `xml:",omitempty"`
		Delimiter      string `xml:",omitempty"`
		MaxKeys        int
		EncodingType   string `xml:",omitempty"`
		IsTruncated    bool
		Contents       []listed
		CommonPrefixes []commonPrefix
	}{
		Name: c.t.bucket, Prefix: l.text(l.prefix), Marker: l.text(l.after), Delimiter: l.text(l.delimiter),
		MaxKeys: l.max, EncodingType: c.t.value("encoding-type"), IsTruncated: p.truncated,
		Contents: p.contents, CommonPrefixes: p.prefixes,
	}
	if p.truncated && l.delimiter != "" { // without one the last key serves as the marker
		out.NextMarker = l.text(p.last)
	}
	return c.answer(out)
}
