// The AWS SDK for JavaScript on the sandbox: nothing is configured but what
// `valetkey dev` sets (AWS_ENDPOINT_URL, AWS_CONFIG_FILE, NODE_EXTRA_CA_CERTS).
import assert from "node:assert/strict";
import {
  DeleteObjectCommand, GetObjectCommand, ListBucketsCommand, PutObjectCommand, S3Client,
} from "@aws-sdk/client-s3";

const s3 = new S3Client({ forcePathStyle: true });
const object = { Bucket: "demo", Key: "js/hello wörld" };
const { Buckets } = await s3.send(new ListBucketsCommand({}));
assert(Buckets.some(({ Name }) => Name === "demo"));
await s3.send(new PutObjectCommand({ ...object, Body: "hello from JavaScript" }));
const { Body } = await s3.send(new GetObjectCommand(object));
assert.equal(await Body.transformToString(), "hello from JavaScript");
await s3.send(new DeleteObjectCommand(object));
await assert.rejects(s3.send(new GetObjectCommand(object)), { name: "NoSuchKey" });
console.log("ok");
