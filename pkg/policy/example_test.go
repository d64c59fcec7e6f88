package policy_test

import (
	"fmt"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/policy"
)

func ExampleRender() {
	d, warnings, err := policy.Render("prefix-upload", map[string][]string{"bucket": {"demo"}, "prefix": {"in/2024"}}, policy.Options{})
	fmt.Println(warnings, err)
	fmt.Printf("%s", d.Print())
	// Output:
	// [] <nil>
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Sid": "Upload",
	//       "Effect": "Allow",
	//       "Action": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
	//       "Resource": ["demo/in/2024/*"]
	//     }
	//   ]
	// }
}

func ExampleRender_refused() {
	_, _, err := policy.Render("bucket-read", map[string][]string{"bucket": {"demo*"}}, policy.Options{})
	fmt.Println(err)
	fmt.Println(failure.KindOf(err))
	// Output:
	// render policy bucket-read: bucket "demo*" has a wildcard
	// usage
}
