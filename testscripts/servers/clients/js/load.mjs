// The AWS SDK for JavaScript lists a bucket in a loop until the file of LOAD_STOP
// is there, and tells a JSON line each round. In each round its cached credentials
// have expired, and three requests share the next ones. It signs by the clock of
// the sandbox.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";

const clock = join(process.env.VALETKEY_SANDBOX_DIR, "clock");
const s3 = new S3Client({ forcePathStyle: true });
while (!existsSync(process.env.LOAD_STOP)) {
  (await s3.config.credentials()).expiration.setTime(0); // forceRefresh would leave the cache as it is
  for (let i = 0; i < 3; i++) {
    s3.config.systemClockOffset = existsSync(clock) ? parseInt(readFileSync(clock, "utf8")) * 1000 : 0;
    await s3.send(new ListObjectsV2Command({ Bucket: "demo" }));
  }
  const { accessKeyId } = await s3.config.credentials();
  console.log(JSON.stringify({ key: accessKeyId, requests: 3 }));
}
