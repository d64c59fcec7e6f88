#!/bin/sh
# rclone on the sandbox, with the AWS SDK's own search for credentials (env_auth),
# which finds credential_process in the AWS config file.
set -eu
work=$1
export RCLONE_CONFIG="$work/rclone.conf"
cat >"$RCLONE_CONFIG" <<END
[sandbox]
type = s3
provider = Other
env_auth = true
endpoint = $VALETKEY_S3_ENDPOINT
region = us-east-1
force_path_style = true
no_check_bucket = true
END
export AWS_SDK_LOAD_CONFIG=true
ca=${2:-${AWS_CA_BUNDLE:-}}
unset AWS_CA_BUNDLE # rclone's own transport does not take it: it has --ca-cert
rclone() { command rclone --ca-cert "$ca" --retries 1 --low-level-retries 1 "$@"; }

mkdir "$work/up"
printf 'one\n' >"$work/up/one"
printf 'two\n' >"$work/up/two words"
rclone copy "$work/up" sandbox:demo/rclone
rclone lsf sandbox:demo/rclone
rclone copy sandbox:demo/rclone "$work/down"
diff -r "$work/up" "$work/down"
rclone check "$work/up" sandbox:demo/rclone
rclone delete sandbox:demo/rclone
echo ok
