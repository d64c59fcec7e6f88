package s3test

import (
	"cmp"
	"crypto/md5" //nolint:gosec // an ETag is an MD5 by definition
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (c *call) createUpload() *apiError {
	headers, err := c.objectHeaders()
	if err != nil {
		return err
	}
	u := &upload{
		id: rand.Text() + rand.Text(), key: c.t.key, started: c.now, headers: headers,
		algorithm: strings.ToLower(c.headers.Get("X-Amz-Checksum-Algorithm")),
		sumType:   strings.ToUpper(c.headers.Get("X-Amz-Checksum-Type")), parts: map[int]*part{},
	}
	if err := u.checkAlgorithm(); err != nil {
		return err
	}
	cost := metadataCost(headers) + int64(len(u.key))
	if !c.s.store.budget.take(cost) {
		return errFull
	}
	err = c.s.store.in(c.t.bucket, func(b *bucket) *apiError {
		b.uploads[u.id] = u
		return nil
	})
	if err != nil {
		c.s.store.budget.give(cost)
		return err
	}
	if u.algorithm != "" {
		c.w.Header().Set(checksumHeader+"algorithm", strings.ToUpper(u.algorithm))
		c.w.Header().Set(checksumHeader+"type", u.sumType)
	}
	return c.answer(struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Bucket: c.t.bucket, Key: c.t.key, UploadID: u.id})
}

func (u *upload) checkAlgorithm() *apiError {
	if u.algorithm == "" {
		if u.sumType != "" {
			return errInvalidRequest.saying("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return nil
	}
	known, ok := checksums[u.algorithm]
	if !ok {
		return errInvalidRequest.saying("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	}
	if u.sumType == "" {
		u.sumType = "COMPOSITE"
		if known.fullByDef {
			u.sumType = "FULL_OBJECT"
		}
	}
	sha := strings.HasPrefix(u.algorithm, "sha")
	if u.sumType != "COMPOSITE" && u.sumType != "FULL_OBJECT" || u.sumType == "COMPOSITE" && known.fullByDef || u.sumType == "FULL_OBJECT" && sha {
		return errInvalidRequest.saying("The " + u.sumType + " checksum type cannot be used with the " + u.algorithm + " checksum algorithm.")
	}
	return nil
}

// onUpload runs f on the upload that the request names, with the store locked.
func (c *call) onUpload(f func(*bucket, *upload) *apiError) *apiError {
	id := c.t.value("uploadId")
	return c.s.store.in(c.t.bucket, func(b *bucket) *apiError {
		u := b.uploads[id]
		if u == nil || u.key != c.t.key {
			return errNoSuchUpload.with("UploadId", id)
		}
		return f(b, u)
	})
}

func (c *call) partNumber() (int, *apiError) {
	n, err := strconv.Atoi(c.t.value("partNumber"))
	if err != nil || n < 1 || n > maxParts {
		return 0, errInvalidArgument.saying("Part number must be an integer between 1 and 10000, inclusive").
			with("ArgumentName", "partNumber").with("ArgumentValue", c.t.value("partNumber"))
	}
	return n, nil
}

// setPart stores a part in place of the one with its number.
func (c *call) setPart(n int, p *part) *apiError {
	if !c.s.store.budget.take(recordCost) {
		c.s.store.budget.give(p.cost)
		return errFull
	}
	p.cost += recordCost
	err := c.onUpload(func(_ *bucket, u *upload) *apiError {
		if old := u.parts[n]; old != nil {
			c.s.store.budget.give(old.cost)
		}
		u.parts[n] = p
		return nil
	})
	if err != nil {
		c.s.store.budget.give(p.cost)
	}
	return err
}

func (c *call) uploadPart() *apiError {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	err = c.onUpload(func(_ *bucket, u *upload) *apiError {
		if u.algorithm != "" {
			if c.body.sumName != "" && c.body.sumName != u.algorithm {
				return errInvalidRequest.saying("Checksum Type mismatch occurred, expected checksum Type: " + u.algorithm + ", actual checksum Type: " + c.body.sumName)
			}
			c.body.compute(u.algorithm)
		}
		return nil
	})
	if err != nil {
		return err
	}
	content, err := c.receive()
	if err != nil {
		return err
	}
	p := &part{blob: content, etag: c.body.etag(), modified: c.now, sum: c.body.sum()}
	if err := c.setPart(n, p); err != nil {
		return err
	}
	if p.sum != nil {
		c.w.Header().Set(checksumHeader+p.sum.name, p.sum.value)
	}
	c.w.Header().Set("ETag", `"`+p.etag+`"`)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) uploadPartCopy() *apiError {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	from, _, err := c.source()
	if err != nil {
		return err
	}
	offset, length := int64(0), from.size
	if spec := c.headers.Get("X-Amz-Copy-Source-Range"); spec != "" {
		var whole bool
		if offset, length, whole, err = parseRange(spec, from.size); err != nil || whole {
			return errInvalidArgument.saying("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		}
	}
	var algorithm string
	if err := c.onUpload(func(_ *bucket, u *upload) *apiError { algorithm = u.algorithm; return nil }); err != nil {
		return err
	}
	p, err := c.copyPart(from, offset, length, algorithm)
	if err != nil {
		return err
	}
	if err := c.setPart(n, p); err != nil {
		return err
	}
	return c.answer(struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
		ETag         string
		LastModified string
		Sums         []sumElement
	}{ETag: `"` + p.etag + `"`, LastModified: stamp(p.modified), Sums: sumElements(p.sum)})
}

// copyPart makes a part of a range of an object, sharing its memory and paying for it again.
func (c *call) copyPart(from *object, offset, length int64, algorithm string) (*part, *apiError) {
	if !c.s.store.budget.take(length) {
		return nil, errFull
	}
	content := &blob{cost: length}
	sum := md5.New() //nolint:gosec // see the import
	if err := from.writeRange(collector{content}, offset, length); err != nil {
		c.s.store.budget.give(length)
		return nil, errInternal
	}
	for _, s := range content.segments {
		_, _ = sum.Write(s)
	}
	p := &part{blob: content, etag: hex.EncodeToString(sum.Sum(nil)), modified: c.now}
	if algorithm != "" {
		h := checksums[algorithm].new()
		for _, s := range content.segments {
			_, _ = h.Write(s)
		}
		p.sum = &checksum{algorithm, encodeSum(h)}
	}
	return p, nil
}

// collector gathers the segments that are written to it, without copying.
type collector struct{ b *blob }

func (c collector) Write(s []byte) (int, error) {
	c.b.segments = append(c.b.segments, s)
	c.b.size += int64(len(s))
	return len(s), nil
}

// sumElement is a checksum in XML; the name of the element depends on the algorithm.
type sumElement struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

func sumElements(sum *checksum) []sumElement {
	if sum == nil {
		return nil
	}
	return []sumElement{{xml.Name{Local: "Checksum" + strings.ToUpper(sum.name)}, sum.value}}
}

func (c *call) abortUpload() *apiError {
	err := c.onUpload(func(b *bucket, u *upload) *apiError {
		c.s.store.drop(b, u)
		return nil
	})
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// completion is the body of a request that ends an upload.
type completion struct {
	XMLName xml.Name        `xml:"CompleteMultipartUpload"`
	Part    []completedPart `xml:"Part"`
}

type completedPart struct {
	PartNumber int
	ETag       string
	Sums       []sumElement `xml:",any"`
}

func (c *call) completeUpload() *apiError {
	// The checksum among the headers is that of the object, not of this body.
	promised := c.body.want
	c.body.want = nil
	var in completion
	if err := c.decode(&in); err != nil {
		return err
	}
	if len(in.Part) == 0 || len(in.Part) > maxParts {
		return errMalformedXML
	}
	var o *object
	err := c.onUpload(func(b *bucket, u *upload) *apiError {
		var err *apiError
		if o, err = u.assemble(in.Part); err != nil {
			return err
		}
		if promised != nil && o.sum != nil && o.sum.name == promised.name && o.sum.value != promised.value {
			return errBadDigest.saying("The " + strings.ToUpper(promised.name) + " you specified did not match the calculated checksum.")
		}
		o.modified = c.now
		if err := c.s.store.replace(b, u.key, o, onWrite(c.headers)); err != nil {
			return err
		}
		for _, named := range in.Part { // the object goes on paying for these; drop gives back the rest
			delete(u.parts, named.PartNumber)
		}
		o.cost += metadataCost(u.headers) + int64(len(u.key))
		c.s.store.budget.used.Add(metadataCost(u.headers) + int64(len(u.key)))
		c.s.store.drop(b, u)
		return nil
	})
	if err != nil {
		return err
	}
	out := struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location     string
		Bucket       string
		Key          string
		ETag         string
		Sums         []sumElement
		ChecksumType string `xml:",omitempty"`
	}{
		Location: "https://" + c.r.Host + "/" + escape(c.t.bucket+"/"+c.t.key, true),
		Bucket:   c.t.bucket, Key: c.t.key, ETag: `"` + o.etag + `"`, Sums: sumElements(o.sum),
	}
	if o.sum != nil {
		out.ChecksumType = o.sumType
	}
	return c.answer(out)
}

// assemble makes the object of the named parts, which share its memory. Its ETag
// is the MD5 of the parts' MD5s with their number behind a dash.
func (u *upload) assemble(named []completedPart) (*object, *apiError) {
	for i := 1; i < len(named); i++ {
		if named[i].PartNumber <= named[i-1].PartNumber {
			return nil, errInvalidPartOrder
		}
	}
	o := &object{blob: &blob{}, headers: u.headers, sumType: u.sumType}
	tags := md5.New() //nolint:gosec // see the import
	var sums []byte
	for i, n := range named {
		p := u.parts[n.PartNumber]
		if p == nil || strings.Trim(n.ETag, `"`) != p.etag || !p.matches(n.Sums) {
			return nil, errInvalidPart.with("PartNumber", itoa(n.PartNumber)).with("ETag", n.ETag)
		}
		if i < len(named)-1 && p.size < minPartSize {
			return nil, errEntityTooSmall.with("PartNumber", itoa(n.PartNumber)).
				with("ProposedSize", strconv.FormatInt(p.size, 10)).with("MinSizeAllowed", itoa(minPartSize))
		}
		raw, _ := hex.DecodeString(p.etag)
		_, _ = tags.Write(raw)
		if u.algorithm != "" {
			raw, _ := base64.StdEncoding.DecodeString(p.sum.value)
			sums = append(sums, raw...)
		}
		o.segments = append(o.segments, p.segments...)
		o.size += p.size
		o.cost += p.cost
	}
	o.etag = hex.EncodeToString(tags.Sum(nil)) + "-" + itoa(len(named))
	if u.algorithm == "" {
		return o, nil
	}
	h := checksums[u.algorithm].new()
	if u.sumType == "COMPOSITE" {
		_, _ = h.Write(sums)
		o.sum = &checksum{u.algorithm, encodeSum(h) + "-" + itoa(len(named))}
		return o, nil
	}
	for _, s := range o.segments {
		_, _ = h.Write(s)
	}
	o.sum = &checksum{u.algorithm, encodeSum(h)}
	return o, nil
}

// matches holds the checksums that a completion names against the part's own.
func (p *part) matches(named []sumElement) bool {
	for _, n := range named {
		name, ok := strings.CutPrefix(strings.ToLower(n.XMLName.Local), "checksum")
		if _, known := checksums[name]; !ok || !known {
			continue
		}
		if p.sum == nil || p.sum.name != name || p.sum.value != n.Value {
			return false
		}
	}
	return true
}

type listedPart struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
	Sums         []sumElement
}

func (c *call) listParts() *apiError {
	limit, err := c.count("max-parts")
	if err != nil {
		return err
	}
	after := 0
	if v := c.t.value("part-number-marker"); v != "" {
		n, perr := strconv.Atoi(v)
		if perr != nil || n < 0 {
			return errInvalidArgument.saying("Argument part-number-marker must be an integer between 0 and 2147483647").with("ArgumentName", "part-number-marker").with("ArgumentValue", v)
		}
		after = n
	}
	out := struct {
		XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket               string
		Key                  string
		UploadID             string `xml:"UploadId"`
		Initiator            owner
		Owner                owner
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int `xml:",omitempty"`
		MaxParts             int
		IsTruncated          bool
		ChecksumAlgorithm    string `xml:",omitempty"`
		ChecksumType         string `xml:",omitempty"`
		Part                 []listedPart
	}{
		Bucket: c.t.bucket, Key: c.t.key, UploadID: c.t.value("uploadId"), Initiator: sandboxOwner, Owner: sandboxOwner,
		StorageClass: "STANDARD", PartNumberMarker: after, MaxParts: limit,
	}
	err = c.onUpload(func(_ *bucket, u *upload) *apiError {
		out.ChecksumAlgorithm, out.ChecksumType = strings.ToUpper(u.algorithm), u.sumType
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			if n <= after {
				continue
			}
			if len(out.Part) == limit {
				out.IsTruncated = limit > 0
				break
			}
			p := u.parts[n]
			out.Part = append(out.Part, listedPart{n, stamp(p.modified), `"` + p.etag + `"`, p.size, sumElements(p.sum)})
			out.NextPartNumberMarker = n
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

type listedUpload struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	Initiator    owner
	Owner        owner
	StorageClass string
	Initiated    string
}

func (c *call) listUploads() *apiError {
	limit, err := c.count("max-uploads")
	if err != nil {
		return err
	}
	if c.t.has("delimiter") {
		return errNotImplemented.with("ArgumentName", "delimiter")
	}
	l := &listing{prefix: c.t.value("prefix"), encoded: c.t.value("encoding-type") == "url"}
	key, id := c.t.value("key-marker"), c.t.value("upload-id-marker")
	out := struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
		Bucket             string
		KeyMarker          string
		UploadIDMarker     string `xml:"UploadIdMarker"`
		NextKeyMarker      string `xml:",omitempty"`
		NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
		Prefix             string
		EncodingType       string `xml:",omitempty"`
		MaxUploads         int
		IsTruncated        bool
		Upload             []listedUpload
	}{
		Bucket: c.t.bucket, KeyMarker: l.text(key), UploadIDMarker: id, Prefix: l.text(l.prefix),
		EncodingType: c.t.value("encoding-type"), MaxUploads: limit,
	}
	err = c.s.store.in(c.t.bucket, func(b *bucket) *apiError {
		list := slices.Collect(maps.Values(b.uploads))
		slices.SortFunc(list, func(x, y *upload) int {
			return cmp.Or(cmp.Compare(x.key, y.key), x.started.Compare(y.started), cmp.Compare(x.id, y.id))
		})
		reached := key == ""
		for _, u := range list {
			switch { // what was listed before lies before the marker
			case reached:
			case u.key < key, u.key == key && id == "":
				continue
			case u.key == key:
				reached = u.id == id
				continue
			}
			reached = true
			if !strings.HasPrefix(u.key, l.prefix) {
				continue
			}
			if len(out.Upload) == limit {
				out.IsTruncated = limit > 0
				break
			}
			out.Upload = append(out.Upload, listedUpload{l.text(u.key), u.id, sandboxOwner, sandboxOwner, "STANDARD", stamp(u.started)})
			out.NextKeyMarker, out.NextUploadIDMarker = l.text(u.key), u.id
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextUploadIDMarker = "", ""
	}
	return c.answer(out)
}
