package s3test

import (
	"net/http"
	"slices"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

const routeUnknown = "s3.unknown"

// operation is one thing S3 does.
type operation struct {
	name   string
	action string // what identity policies call it; "" where handle asks itself
	body   bool   // handle reads the body
	handle func(*call) *apiError
}

var (
	opListBuckets     = &operation{"s3.list_buckets", "s3:ListAllMyBuckets", false, (*call).listBuckets}
	opHeadBucket      = &operation{"s3.head_bucket", "s3:ListBucket", false, (*call).headBucket}
	opCreateBucket    = &operation{"s3.create_bucket", "s3:CreateBucket", true, (*call).createBucket}
	opDeleteBucket    = &operation{"s3.delete_bucket", "s3:DeleteBucket", false, (*call).deleteBucket}
	opBucketLocation  = &operation{"s3.get_bucket_location", "s3:GetBucketLocation", false, (*call).bucketLocation}
	opVersioning      = &operation{"s3.get_bucket_versioning", "s3:GetBucketVersioning", false, (*call).bucketVersioning}
	opListObjects     = &operation{"s3.list_objects", "s3:ListBucket", false, (*call).listObjects}
	opListObjectsV2   = &operation{"s3.list_objects_v2", "s3:ListBucket", false, (*call).listObjectsV2}
	opListUploads     = &operation{"s3.list_multipart_uploads", "s3:ListBucketMultipartUploads", false, (*call).listUploads}
	opDeleteObjects   = &operation{"s3.delete_objects", "", true, (*call).deleteObjects}
	opGetObject       = &operation{"s3.get_object", "s3:GetObject", false, (*call).getObject}
	opHeadObject      = &operation{"s3.head_object", "s3:GetObject", false, (*call).getObject}
	opPutObject       = &operation{"s3.put_object", "s3:PutObject", true, (*call).putObject}
	opCopyObject      = &operation{"s3.copy_object", "s3:PutObject", false, (*call).copyObject}
	opDeleteObject    = &operation{"s3.delete_object", "s3:DeleteObject", false, (*call).deleteObject}
	opCreateUpload    = &operation{"s3.create_multipart_upload", "s3:PutObject", false, (*call).createUpload}
	opUploadPart      = &operation{"s3.upload_part", "s3:PutObject", true, (*call).uploadPart}
	opUploadPartCopy  = &operation{"s3.upload_part_copy", "s3:PutObject", false, (*call).uploadPartCopy}
	opCompleteUpload  = &operation{"s3.complete_multipart_upload", "s3:PutObject", true, (*call).completeUpload}
	opAbortUpload     = &operation{"s3.abort_multipart_upload", "s3:AbortMultipartUpload", false, (*call).abortUpload}
	opListParts       = &operation{"s3.list_parts", "s3:ListMultipartUploadParts", false, (*call).listParts}
	opObjectTagging   = &operation{"s3.get_object_tagging", "s3:GetObjectTagging", false, (*call).objectTagging}
	opUnknown         = &operation{name: routeUnknown}                       // no such method here: 405
	opUnknownResource = &operation{name: routeUnknown, action: "s3:Unknown"} // a part of S3 that is not played: 501
)

// Routes lists the names Route returns for requests that are answered, in
// alphabetical order.
func (s *Server) Routes() []string {
	var names []string
	for _, op := range []*operation{
		opListBuckets, opHeadBucket, opCreateBucket, opDeleteBucket, opBucketLocation, opVersioning,
		opListObjects, opListObjectsV2, opListUploads, opDeleteObjects, opGetObject, opHeadObject,
		opPutObject, opCopyObject, opDeleteObject, opCreateUpload, opUploadPart, opUploadPartCopy,
		opCompleteUpload, opAbortUpload, opListParts, opObjectTagging,
	} {
		names = append(names, op.name)
	}
	slices.Sort(names)
	return names
}

// subresources select another operation than the plain one on a bucket or an
// object. A request with one that is not played must never be taken for the
// plain operation: DELETE ?policy is no DELETE of the bucket.
var subresources = []string{
	"accelerate", "acl", "analytics", "attributes", "cors", "encryption", "intelligent-tiering", "inventory",
	"legal-hold", "lifecycle", "logging", "metadataConfiguration", "metadataTable", "metrics", "notification",
	"object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication",
	"requestPayment", "restore", "retention", "select", "session", "tagging", "torrent", "versions", "website",
}

func routeOf(r *http.Request, t *target) *operation {
	if r.Method == "GET" && t.key != "" && t.has("tagging") {
		return opObjectTagging
	}
	for _, name := range subresources {
		if t.has(name) {
			return opUnknownResource
		}
	}
	switch {
	case t.bucket == "" && t.key != "": // the path begins with two slashes
		return opUnknownResource
	case t.bucket == "":
		return pick(r.Method, methods{"GET": opListBuckets})
	case t.key == "":
		return bucketRoute(r, t)
	}
	return objectRoute(r, t)
}

type methods map[string]*operation

func pick(method string, m methods) *operation {
	if op := m[method]; op != nil {
		return op
	}
	return opUnknown
}

func bucketRoute(r *http.Request, t *target) *operation {
	switch {
	case t.has("location"):
		return pick(r.Method, methods{"GET": opBucketLocation})
	case t.has("versioning"):
		return pick(r.Method, methods{"GET": opVersioning})
	case t.has("uploads"):
		return pick(r.Method, methods{"GET": opListUploads})
	case t.has("delete"):
		return pick(r.Method, methods{"POST": opDeleteObjects})
	case r.Method == "GET" && t.value("list-type") == "2":
		return opListObjectsV2
	}
	return pick(r.Method, methods{
		"GET": opListObjects, "HEAD": opHeadBucket, "PUT": opCreateBucket, "DELETE": opDeleteBucket,
	})
}

func objectRoute(r *http.Request, t *target) *operation {
	copied := r.Header.Get("X-Amz-Copy-Source") != "" || t.has("X-Amz-Copy-Source") || t.has("x-amz-copy-source")
	switch {
	case t.has("uploads"):
		return pick(r.Method, methods{"POST": opCreateUpload})
	case t.has("uploadId") && r.Method == "PUT" && copied:
		return opUploadPartCopy
	case t.has("uploadId"):
		return pick(r.Method, methods{
			"PUT": opUploadPart, "POST": opCompleteUpload, "DELETE": opAbortUpload, "GET": opListParts,
		})
	case r.Method == "PUT" && copied:
		return opCopyObject
	}
	return pick(r.Method, methods{
		"GET": opGetObject, "HEAD": opHeadObject, "PUT": opPutObject, "DELETE": opDeleteObject,
	})
}
