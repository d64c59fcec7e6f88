#!/bin/sh
# The AWS CLI on the sandbox: both ways, small and in parts, no credentials configured.
# Debian's 2.9 does not know AWS_ENDPOINT_URL yet, so it is told the endpoint.
set -eu
work=$1
s3() { /usr/bin/aws --endpoint-url "$VALETKEY_S3_ENDPOINT" s3 "$@"; }

printf 'hello from the AWS CLI\n' >"$work/small"
head -c 20000000 /dev/urandom >"$work/large" # more than one part
s3 ls
s3 cp "$work/small" s3://demo/cli/small
s3 cp --no-progress "$work/large" s3://demo/cli/large
s3 ls s3://demo/cli/
s3 cp s3://demo/cli/small "$work/small.back"
s3 cp --no-progress s3://demo/cli/large "$work/large.back"
cmp "$work/small" "$work/small.back"
cmp "$work/large" "$work/large.back"
s3 rm s3://demo/cli/small
s3 rm s3://demo/cli/large
echo ok
