package s3test

import (
	"encoding/xml"
	"net/http"
	"slices"
	"time"
)

// stamp is a time as S3 writes it in XML.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type owner struct {
	ID          string
	DisplayName string
}

// everything belongs to one owner: ownership is not played.
var sandboxOwner = owner{ID: "sandbox", DisplayName: "sandbox"}

type bucketEntry struct {
	Name         string
	CreationDate string
}

func (c *call) listBuckets() *apiError {
	out := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Owner   owner
		Buckets struct{ Bucket []bucketEntry }
	}{Owner: sandboxOwner}
	c.s.store.mu.Lock()
	for name, b := range c.s.store.buckets {
		out.Buckets.Bucket = append(out.Buckets.Bucket, bucketEntry{name, stamp(b.created)})
	}
	c.s.store.mu.Unlock()
	slices.SortFunc(out.Buckets.Bucket, func(a, b bucketEntry) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return c.answer(out)
}

// existing fails if the bucket is not there.
func (c *call) existing() *apiError {
	return c.s.store.in(c.t.bucket, func(*bucket) *apiError { return nil })
}

func (c *call) headBucket() *apiError {
	if err := c.existing(); err != nil {
		return err
	}
	c.w.Header().Set("X-Amz-Bucket-Region", c.s.region)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) createBucket() *apiError {
	// The body may name a location; there is only one.
	if err := c.drain(); err != nil {
		return err
	}
	if err := c.s.store.createBucket(c.t.bucket, c.user, c.now); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.t.bucket)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) deleteBucket() *apiError {
	if err := c.s.store.deleteBucket(c.t.bucket); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) bucketLocation() *apiError {
	if err := c.existing(); err != nil {
		return err
	}
	region := c.s.region
	if region == DefaultRegion {
		region = "" // S3 writes the first of its regions as nothing
	}
	return c.answer(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: region})
}

// bucketVersioning says that it was never switched on.
func (c *call) bucketVersioning() *apiError {
	if err := c.existing(); err != nil {
		return err
	}
	return c.answer(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
	}{})
}
