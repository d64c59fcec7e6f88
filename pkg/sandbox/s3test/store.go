package s3test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	recordCost  = 512     // bytes a record counts for beside its content, so that empty ones are bounded too
	minSegment  = 4 << 10 // of a blob's memory
	maxSegment  = 1 << 20 //
	maxBuckets  = 1000    //
	minPartSize = 5 << 20 // of a multipart upload, but for its last part
	maxParts    = 10000   //
	maxKeySize  = 1024    // bytes
	maxXMLBody  = 2 << 20 // of a request
	maxMetadata = 2 << 10 // bytes of names and values
)

// budget bounds the memory of everything that is stored.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// blob is content in segments. It does not change once it is filled.
type blob struct {
	segments [][]byte
	size     int64
	cost     int64 // what it took from the budget
}

// fill reads r to its end. Memory grows with what has arrived, not with what
// was announced. On failure nothing is kept.
func fill(r io.Reader, announced int64, b *budget) (*blob, error) {
	out := &blob{}
	next := int64(minSegment)
	for {
		size := next
		if rest := announced - out.size; announced >= 0 && rest < size {
			size = max(rest, 1) // one byte more to meet the end, or an excess
		}
		if !b.take(size) {
			b.give(out.cost)
			return nil, errFull
		}
		out.cost += size
		segment := make([]byte, size)
		n, err := io.ReadFull(r, segment)
		if n > 0 {
			out.segments = append(out.segments, segment[:n])
			out.size += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return out, nil
		case err != nil:
			b.give(out.cost)
			return nil, err
		}
		next = min(next*2, maxSegment)
	}
}

// writeRange writes n bytes from offset on.
func (c *blob) writeRange(w io.Writer, offset, n int64) error {
	for _, s := range c.segments {
		if n <= 0 {
			break
		}
		if offset >= int64(len(s)) {
			offset -= int64(len(s))
			continue
		}
		s = s[offset:]
		offset = 0
		if int64(len(s)) > n {
			s = s[:n]
		}
		if _, err := w.Write(s); err != nil {
			return err
		}
		n -= int64(len(s))
	}
	return nil
}

// object does not change once it is stored; another one takes its place.
type object struct {
	*blob
	etag     string // without quotes
	modified time.Time
	headers  map[string]string // Content-Type and the like, x-amz-meta-* in lower case
	sum      *checksum
	sumType  string // COMPOSITE or FULL_OBJECT
}

func metadataCost(headers map[string]string) int64 {
	n := int64(recordCost)
	for k, v := range headers {
		n += int64(len(k) + len(v))
	}
	return n
}

type bucket struct {
	creator string // the user, "" for those that were there from the start
	created time.Time
	objects map[string]*object
	sorted  []string // the keys in order; nil when they changed
	uploads map[string]*upload
}

// keys returns the keys in byte order. The slice is not changed afterwards.
func (b *bucket) keys() []string {
	if b.sorted == nil {
		b.sorted = make([]string, 0, len(b.objects))
		for k := range b.objects {
			b.sorted = append(b.sorted, k)
		}
		slices.Sort(b.sorted)
	}
	return b.sorted
}

type upload struct {
	id        string
	key       string
	started   time.Time
	headers   map[string]string
	algorithm string // of the checksum, lower case, "" = none asked for
	sumType   string
	parts     map[int]*part
}

type part struct {
	*blob
	etag     string
	modified time.Time
	sum      *checksum
}

// store is everything in memory, safe for concurrent use.
type store struct {
	budget budget

	mu      sync.Mutex
	buckets map[string]*bucket
}

func newStore(limit int64) *store {
	return &store{budget: budget{limit: limit}, buckets: map[string]*bucket{}}
}

func (s *store) createBucket(name, user string, now time.Time) *apiError {
	if !validBucketName(name) {
		return errInvalidBucketName.with("BucketName", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.buckets[name]; old != nil {
		if old.creator == user {
			return errBucketOwned.with("BucketName", name)
		}
		return errBucketExists.with("BucketName", name)
	}
	if len(s.buckets) >= maxBuckets {
		return apiErr(400, "TooManyBuckets", "You have attempted to create more buckets than allowed")
	}
	s.buckets[name] = &bucket{creator: user, created: now, objects: map[string]*object{}, uploads: map[string]*upload{}}
	return nil
}

// validBucketName takes what VAST's own samples have too: "_" and capitals.
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 {
		return false
	}
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return strings.Trim(name, alnum+"._-") == "" &&
		strings.IndexByte(alnum, name[0]) >= 0 && strings.IndexByte(alnum, name[len(name)-1]) >= 0 &&
		!strings.Contains(name, "..")
}

// in runs f on a bucket, with the store locked.
func (s *store) in(name string, f func(*bucket) *apiError) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return errNoSuchBucket.with("BucketName", name)
	}
	return f(b)
}

func (s *store) get(bucketName, key string) (*object, *apiError) {
	var o *object
	err := s.in(bucketName, func(b *bucket) *apiError {
		if o = b.objects[key]; o == nil {
			return errNoSuchKey.with("Key", key)
		}
		return nil
	})
	return o, err
}

// put stores an object, if allowed says so of the one that is there (nil: none).
// The object's content has been taken from the budget already and is given back
// when it is not stored.
func (s *store) put(bucketName, key string, o *object, allowed func(*object) *apiError) *apiError {
	extra := metadataCost(o.headers) + int64(len(key))
	if !s.budget.take(extra) {
		s.budget.give(o.cost)
		return errFull
	}
	o.cost += extra
	err := s.in(bucketName, func(b *bucket) *apiError { return s.replace(b, key, o, allowed) })
	if err != nil {
		s.budget.give(o.cost)
	}
	return err
}

// replace is put with the store locked and the whole cost paid.
func (s *store) replace(b *bucket, key string, o *object, allowed func(*object) *apiError) *apiError {
	old := b.objects[key]
	if err := allowed(old); err != nil {
		return err
	}
	if old != nil {
		s.budget.give(old.cost)
	} else {
		b.sorted = nil
	}
	b.objects[key] = o
	return nil
}

// remove deletes an object; one that is not there is no error.
func (s *store) remove(bucketName, key string, allowed func(*object) *apiError) *apiError {
	return s.in(bucketName, func(b *bucket) *apiError {
		old := b.objects[key]
		if err := allowed(old); err != nil || old == nil {
			return err
		}
		s.budget.give(old.cost)
		delete(b.objects, key)
		b.sorted = nil
		return nil
	})
}

func (s *store) deleteBucket(name string) *apiError {
	return s.in(name, func(b *bucket) *apiError {
		if len(b.objects) > 0 {
			return errBucketNotEmpty.with("BucketName", name)
		}
		for _, u := range b.uploads {
			s.drop(b, u)
		}
		delete(s.buckets, name)
		return nil
	})
}

// drop ends an upload and gives back what its parts took, with the store locked.
func (s *store) drop(b *bucket, u *upload) {
	for _, p := range u.parts {
		s.budget.give(p.cost)
	}
	s.budget.give(metadataCost(u.headers) + int64(len(u.key)))
	delete(b.uploads, u.id)
}
