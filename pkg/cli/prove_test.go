package cli

import (
	"testing"

	"github.com/valetkey/valetkey/pkg/failure"
)

func TestJudgeProof(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   failure.Kind
		proven bool
	}{
		{200, "", 0, true},
		{403, "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>", 0, true},
		{404, "<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>", 0, true},
		{404, "<Error><Code>NoSuchKey</Code></Error>", 0, true},
		{403, "<Error><Code>InvalidAccessKeyId</Code></Error>", failure.NotFound, false},
		{403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", failure.Auth, false},
		{403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", failure.Network, false},
		{403, "<Error><Code>AccessDenied</Code><Message>Request is not yet valid</Message></Error>", failure.Network, false},
		{403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", failure.Network, false},
		{503, "<Error><Code>SlowDown</Code></Error>", failure.Network, false},
		{404, "<html><h1>Not Found</h1></html>", failure.Network, false},
		{403, "", failure.Network, false},
	} {
		err := judgeProof(c.status, []byte(c.body))
		if (err == nil) != c.proven || err != nil && !failure.Is(err, c.kind) {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
}
