#!/bin/sh
# s3cmd on the sandbox. It knows no credential_process and no AWS_ENDPOINT_URL:
# `valetkey exec` hands it the key in the environment, it is told the endpoint
# and the authority.
set -eu
work=$1 ca=$2
host=${VALETKEY_S3_ENDPOINT#https://}
cd "$work"
: >none # no configuration of the person's own
s3() { s3cmd --config none --host "$host" --host-bucket "$host" --ca-certs "$ca" --no-progress "$@"; }

printf 'hello from s3cmd\n' >"a file"
s3 ls
s3 put "a file" "s3://demo/s3cmd/a file"
s3 ls s3://demo/s3cmd/
s3 get "s3://demo/s3cmd/a file" back
cmp "a file" back
s3 del "s3://demo/s3cmd/a file"
echo ok
