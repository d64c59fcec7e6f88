"""boto3 on the sandbox: nothing is configured but what `valetkey dev` sets."""

import os

import boto3
from botocore.exceptions import ClientError

# Debian's 1.26 does not know AWS_ENDPOINT_URL yet.
s3 = boto3.client("s3", endpoint_url=os.environ["VALETKEY_S3_ENDPOINT"])
assert "demo" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
s3.put_object(Bucket="demo", Key="boto/ä b+c", Body=b"hello from boto3")
assert s3.get_object(Bucket="demo", Key="boto/ä b+c")["Body"].read() == b"hello from boto3"
keys = [o["Key"] for o in s3.list_objects_v2(Bucket="demo", Prefix="boto/")["Contents"]]
assert keys == ["boto/ä b+c"], keys
s3.delete_object(Bucket="demo", Key="boto/ä b+c")
try:
    s3.get_object(Bucket="demo", Key="boto/ä b+c")
except ClientError as error:
    assert error.response["Error"]["Code"] == "NoSuchKey", error
else:
    raise AssertionError("a deleted object was read")
print("ok")
