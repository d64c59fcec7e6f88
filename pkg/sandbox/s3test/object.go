package s3test

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// systemHeaders are kept with an object and given back as they came.
var systemHeaders = []string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires",
}

// overrides are the parameters of GET that replace a header of the answer.
var overrides = map[string]string{
	"response-cache-control":       "Cache-Control",
	"response-content-disposition": "Content-Disposition",
	"response-content-encoding":    "Content-Encoding",
	"response-content-language":    "Content-Language",
	"response-content-type":        "Content-Type",
	"response-expires":             "Expires",
}

const metaPrefix = "x-amz-meta-"

// objectHeaders reads what is to be kept with an object. What would change how
// it is stored, and is not played, is refused rather than forgotten.
func (c *call) objectHeaders() (map[string]string, *apiError) {
	out := map[string]string{"Content-Type": "binary/octet-stream"}
	size := 0
	for name, values := range c.headers {
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, metaPrefix):
			out[lower] = strings.Join(values, ",")
			size += len(lower) - len(metaPrefix) + len(out[lower])
		case strings.HasPrefix(lower, "x-amz-server-side-encryption-customer-"),
			lower == "x-amz-tagging", strings.HasPrefix(lower, "x-amz-object-lock-"):
			return nil, errNotImplemented.with("Header", lower)
		}
	}
	for _, name := range systemHeaders {
		if v := c.headers.Get(name); v != "" {
			out[name] = v
			size += len(v)
		}
	}
	if size > maxMetadata+8<<10 || metaSize(out) > maxMetadata {
		return nil, errMetadataTooLarge
	}
	if v, ok := out["Content-Encoding"]; ok { // aws-chunked is how it traveled, not what it is
		var kept []string
		for coding := range strings.SplitSeq(v, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "aws-chunked") {
				kept = append(kept, coding)
			}
		}
		if out["Content-Encoding"] = strings.Join(kept, ","); len(kept) == 0 {
			delete(out, "Content-Encoding")
		}
	}
	return out, nil
}

func metaSize(headers map[string]string) int {
	n := 0
	for name, v := range headers {
		if user, ok := strings.CutPrefix(name, metaPrefix); ok {
			n += len(user) + len(v)
		}
	}
	return n
}

// receive reads a body into memory; its length must be known before.
func (c *call) receive() (*blob, *apiError) {
	switch {
	case c.body.size < 0:
		return nil, errMissingLength
	case c.body.size > c.s.store.budget.limit:
		return nil, errEntityTooLarge.with("MaxSizeAllowed", strconv.FormatInt(c.s.store.budget.limit, 10))
	}
	content, err := fill(c.body, c.body.size, &c.s.store.budget)
	if err != nil {
		return nil, asAPIError(err)
	}
	return content, nil
}

func (c *call) setSum(sum *checksum, sumType string) {
	if sum != nil {
		c.w.Header().Set(checksumHeader+sum.name, sum.value)
		c.w.Header().Set(checksumHeader+"type", sumType)
	}
}

func (c *call) putObject() *apiError {
	headers, err := c.objectHeaders()
	if err != nil {
		return err
	}
	if err := c.existing(); err != nil {
		return err
	}
	content, err := c.receive()
	if err != nil {
		return err
	}
	o := &object{
		blob: content, etag: c.body.etag(), modified: c.now, headers: headers,
		sum: c.body.sum(), sumType: "FULL_OBJECT",
	}
	if err := c.s.store.put(c.t.bucket, c.t.key, o, onWrite(c.headers)); err != nil {
		return err
	}
	c.setSum(o.sum, o.sumType)
	c.w.Header().Set("ETag", `"`+o.etag+`"`)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// getObject answers GET and HEAD.
func (c *call) getObject() *apiError {
	if v := c.t.value("versionId"); v != "" && v != "null" {
		return errNoSuchVersion
	}
	if c.t.has("partNumber") {
		return errNotImplemented
	}
	o, err := c.s.store.get(c.t.bucket, c.t.key)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("ETag", `"`+o.etag+`"`)
	h.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	if err := readConditions(c.headers, "").check(o, errNotModified); err != nil {
		return err
	}
	offset, length, whole, err := parseRange(c.headers.Get("Range"), o.size)
	if err != nil {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(o.size, 10))
		return err.with("RangeRequested", c.headers.Get("Range")).with("ActualObjectSize", strconv.FormatInt(o.size, 10))
	}
	for name, v := range o.headers {
		if strings.HasPrefix(name, metaPrefix) {
			h[name] = []string{v} // in lower case: some clients take the name as it comes
		} else {
			h.Set(name, v)
		}
	}
	for name, header := range overrides {
		if v, ok := c.t.first(name); ok {
			h.Set(header, v)
		}
	}
	if whole && strings.EqualFold(c.headers.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		c.setSum(o.sum, o.sumType)
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	status := http.StatusOK
	if !whole {
		status = http.StatusPartialContent
		h.Set("Content-Range", "bytes "+strconv.FormatInt(offset, 10)+"-"+strconv.FormatInt(offset+length-1, 10)+"/"+strconv.FormatInt(o.size, 10))
	}
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return nil
	}
	_ = o.writeRange(c.w, offset, length) // the status is sent: a lost client can be told nothing
	return nil
}

// objectTagging answers that there are no tags, since none are taken. Some
// clients ask before they copy a large object.
func (c *call) objectTagging() *apiError {
	if _, err := c.s.store.get(c.t.bucket, c.t.key); err != nil {
		return err
	}
	return c.answer(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
		TagSet  struct{}
	}{})
}

func (c *call) deleteObject() *apiError {
	if v := c.t.value("versionId"); v != "" && v != "null" {
		return errNoSuchVersion
	}
	if err := c.s.store.remove(c.t.bucket, c.t.key, onWrite(c.headers)); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// source reads the object that a copy starts from, for which the caller needs
// the right to read it.
func (c *call) source() (*object, string, *apiError) {
	raw := strings.TrimPrefix(c.headers.Get("X-Amz-Copy-Source"), "/")
	raw, version, versioned := strings.Cut(raw, "?versionId=")
	path, err := url.PathUnescape(raw)
	from, key, ok := strings.Cut(path, "/")
	if err != nil || !ok || from == "" || key == "" || !utf8.ValidString(path) {
		return nil, "", errInvalidArgument.saying("Invalid copy source object key").
			with("ArgumentName", "x-amz-copy-source").with("ArgumentValue", raw)
	}
	if err := c.authorize("s3:GetObject", from+"/"+key); err != nil {
		return nil, "", err
	}
	if versioned && version != "null" {
		return nil, "", errNoSuchVersion
	}
	o, aerr := c.s.store.get(from, key)
	if aerr != nil {
		return nil, "", aerr
	}
	return o, from + "/" + key, readConditions(c.headers, "X-Amz-Copy-Source-").check(o, errPrecondition)
}

func (c *call) copyObject() *apiError {
	from, path, err := c.source()
	if err != nil {
		return err
	}
	headers := from.headers
	switch directive := c.headers.Get("X-Amz-Metadata-Directive"); directive {
	case "", "COPY":
		if path == c.t.bucket+"/"+c.t.key {
			return errInvalidRequest.saying("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
		}
	case "REPLACE":
		if headers, err = c.objectHeaders(); err != nil {
			return err
		}
	default:
		return errInvalidArgument.saying("Unknown metadata directive.").with("ArgumentName", "x-amz-metadata-directive").with("ArgumentValue", directive)
	}
	// The content is shared, but paid for again: either copy may outlive the other.
	content := &blob{segments: from.segments, size: from.size, cost: from.size}
	if !c.s.store.budget.take(content.cost) {
		return errFull
	}
	o := &object{
		blob: content, etag: from.etag, modified: c.now, headers: headers,
		sum: from.sum, sumType: from.sumType,
	}
	if err := c.s.store.put(c.t.bucket, c.t.key, o, onWrite(c.headers)); err != nil {
		return err
	}
	return c.answer(struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		ETag         string
		LastModified string
	}{ETag: `"` + o.etag + `"`, LastModified: stamp(o.modified)})
}

func (c *call) deleteObjects() *apiError {
	if c.body.md5 == "" && c.body.sumName == "" {
		return errInvalidRequest.saying("Missing required header for this request: Content-MD5")
	}
	var in struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []struct {
			Key       string
			VersionID string `xml:"VersionId"`
			ETag      string
		}
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if len(in.Object) == 0 || len(in.Object) > maxListed {
		return errMalformedXML
	}
	if err := c.existing(); err != nil {
		return err
	}
	type deleted struct{ Key string }
	type failed struct{ Key, Code, Message string }
	out := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deleted
		Error   []failed
	}{}
	for _, item := range in.Object {
		err := c.authorize("s3:DeleteObject", c.t.bucket+"/"+item.Key)
		if err == nil && item.VersionID != "" && item.VersionID != "null" {
			err = errNoSuchVersion
		}
		if err == nil {
			h := http.Header{}
			if item.ETag != "" {
				h.Set("If-Match", item.ETag)
			}
			err = c.s.store.remove(c.t.bucket, item.Key, onWrite(h))
		}
		switch {
		case err != nil:
			out.Error = append(out.Error, failed{item.Key, err.code, err.message})
		case !in.Quiet:
			out.Deleted = append(out.Deleted, deleted{item.Key})
		}
	}
	return c.answer(out)
}
