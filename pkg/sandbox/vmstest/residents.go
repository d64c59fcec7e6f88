package vmstest

// Residents are the people of the sandbox: alice, bob and carol from the
// directory, dora made on the cluster, and admin, who manages it. Their
// passwords come from the caller.
//
// alice lists buckets and reads and writes "demo"; bob reads "demo"; carol and
// dora may do nothing on S3.
func Residents(password func(name string) string) []User {
	return []User{
		{Name: "alice", Password: password("alice"), Policies: []Policy{{"demo-readwrite", demoReadWrite}}},
		{Name: "bob", Password: password("bob"), Policies: []Policy{{"demo-read", demoRead}}},
		{Name: "carol", Password: password("carol")},
		{Name: "dora", Password: password("dora"), Kind: Local},
		{Name: "admin", Password: password("admin"), Kind: Manager},
	}
}

// A HEAD of a bucket is judged as ListBucket by newer clusters, as HeadBucket
// by older documents, so both are granted.
const demoReadWrite = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "ListBuckets", "Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"},
    {
      "Sid": "Bucket", "Effect": "Allow",
      "Action": ["s3:ListBucket", "s3:HeadBucket", "s3:GetBucketLocation", "s3:GetBucketVersioning",
                 "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"],
      "Resource": "demo"
    },
    {
      "Sid": "Objects", "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion",
                 "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
      "Resource": "demo/*"
    }
  ]
}`

const demoRead = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Bucket", "Effect": "Allow",
      "Action": ["s3:ListBucket", "s3:HeadBucket", "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucketVersions"],
      "Resource": "demo"
    },
    {"Sid": "Objects", "Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "demo/*"}
  ]
}`
