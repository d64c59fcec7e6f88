"""Makes botocore.json: URLs signed by boto3, for the tests of this package.

Run with Debian's python3-boto3:  /usr/bin/python3 make_vectors.py > botocore.json
Needs no network. The clock of botocore is stopped, so the output is reproducible.
"""
import datetime
import json
import os
import types

os.environ["BOTO_DISABLE_CRT"] = "true"  # the signer written in Python, whose clock can be stopped

import boto3  # noqa: E402
import botocore  # noqa: E402
import botocore.auth  # noqa: E402
from botocore.config import Config  # noqa: E402

AT = datetime.datetime(2026, 2, 3, 4, 5, 6)


class Stopped(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return AT

    @classmethod
    def now(cls, tz=None):
        return AT.replace(tzinfo=datetime.timezone.utc) if tz else AT


botocore.auth.datetime = types.SimpleNamespace(
    datetime=Stopped, timezone=datetime.timezone, timedelta=datetime.timedelta)

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = [
    "test-obj", "a b.txt", "\u00fc/\u65e5\u672c.txt", "a//b/../c/./d", "/leading", "trailing/",
    "100%25", "q?x=1&y=2#z", "plus+and=equals", "~tilde'(paren)*!", "semi;colon:at@comma,$",
    "back\\slash", "tab\tnewline\n", "[brackets]{braces}|^`<>\"", "\U0001f511",
]
ACCESS = ["AKIAIOSFODNN7EXAMPLE", "FXhvIdHZRhKHJdVnOawtHg==", "a+b/c+d/e/f=="]
GET = {"method": "GET", "call": "get_object", "params": {}, "response_headers": {}, "headers": {}, "version_id": ""}


def case(**kw):
    c = dict(GET, endpoint="https://s3.example.com", region="us-east-1", addressing="path", access_key=ACCESS[0],
             session_token="", bucket="test-bucket", key="test-obj", expires=3600)
    c.update(kw)
    return c


cases = [case(key=k) for k in KEYS]
cases += [case(access_key=a) for a in ACCESS]
cases += [case(session_token="IQoJb3JpZ2luX2VjEJr//+/=="), case(region="eu-central-1"), case(expires=1), case(expires=604800)]
cases += [case(endpoint=e) for e in ["http://vip1.example.com", "http://10.0.0.1:9000", "https://[2001:db8::1]:8443"]]
cases += [case(addressing="virtual", key=k) for k in KEYS[:4]]
cases += [case(method="PUT", call="put_object", key="in/\u00fc.csv"),
          case(method="HEAD", call="head_object", key="a b"),
          case(method="DELETE", call="delete_object", key="a b")]
cases += [case(method="PUT", call="put_object", params={"ContentType": "text/csv; charset=utf-8"},
               headers={"content-type": "text/csv; charset=utf-8"}),
          case(method="PUT", call="put_object", params={"Metadata": {"zeta": "1  2", "alpha": "x"}, "ContentType": "text/plain"},
               headers={"x-amz-meta-zeta": "1  2", "x-amz-meta-alpha": "x", "content-type": "text/plain"}),
          case(params={"VersionId": "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"}, version_id="3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"),
          case(params={"ResponseContentType": "text/plain; charset=utf-8", "ResponseContentDisposition": 'attachment; filename="a b.txt"'},
               response_headers={"content-type": "text/plain; charset=utf-8", "content-disposition": 'attachment; filename="a b.txt"'}),
          case(params={"ResponseCacheControl": "no-cache", "ResponseContentEncoding": "gzip", "ResponseContentLanguage": "de",
                       "VersionId": "null"},
               response_headers={"cache-control": "no-cache", "content-encoding": "gzip", "content-language": "de"}, version_id="null")]

out = []
for c in cases:
    s3 = boto3.client(
        "s3", endpoint_url=c["endpoint"], region_name=c["region"], aws_access_key_id=c["access_key"],
        aws_secret_access_key=SECRET, aws_session_token=c["session_token"] or None,
        config=Config(signature_version="s3v4", s3={"addressing_style": c["addressing"]}))
    url = s3.generate_presigned_url(c["call"], Params=dict(c["params"], Bucket=c["bucket"], Key=c["key"]),
                                    ExpiresIn=c["expires"], HttpMethod=c["method"])
    v = {k: c[k] for k in c if k not in ("call", "params")}
    out.append(dict(v, url=url))

print(json.dumps({"made_by": "make_vectors.py with boto3 %s, botocore %s" % (boto3.__version__, botocore.__version__),
                  "time": AT.isoformat() + "Z", "secret_key": SECRET, "vectors": out}, indent=1))
