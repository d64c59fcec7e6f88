"""botocore lists a bucket in a loop until the file of LOAD_STOP is there, and
tells a JSON line each round. In each round its cached credentials have expired,
and three requests share the next ones. It signs by the clock of the sandbox."""

import datetime
import json
import os
import sys
import types

os.environ["BOTO_DISABLE_CRT"] = "true"  # the signer in C has a clock of its own

import boto3  # noqa: E402
import botocore.auth  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402


class SandboxTime(datetime.datetime):
    @classmethod
    def utcnow(cls):
        now = datetime.datetime.utcnow()
        try:
            with open(os.path.join(os.environ["VALETKEY_SANDBOX_DIR"], "clock")) as clock:
                now += datetime.timedelta(seconds=int(clock.read().strip("+s\n")))
        except FileNotFoundError:
            pass
        return now


botocore.auth.datetime = types.SimpleNamespace(datetime=SandboxTime)

session = boto3.Session()
s3 = session.client("s3", endpoint_url=os.environ["VALETKEY_S3_ENDPOINT"])
credentials = session.get_credentials()
assert credentials.method == "custom-process", credentials.method
while not os.path.exists(os.environ["LOAD_STOP"]):
    credentials._expiry_time = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
    for _ in range(3):
        try:
            s3.list_objects_v2(Bucket="demo")
        except ClientError as error:
            sys.exit(f"{error.response['Error']}")
    print(json.dumps({"key": credentials.access_key, "requests": 3}), flush=True)
