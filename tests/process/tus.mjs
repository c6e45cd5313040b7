// tus-js-client, unmodified: uploads a file in one PATCH, and says as JSON lines how far it is and where it is.
// node tus.mjs ENDPOINT FILE

import {readFileSync} from "node:fs";
import {Upload} from "tus-js-client";

const [endpoint, path] = process.argv.slice(2);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
let resumed = 0;
const upload = new Upload(readFileSync(path), {
  endpoint,
  retryDelays: Array(300).fill(100),
  metadata: {filename: "größe.bin", filetype: "application/x-of-mine"},
  onProgress: (sent) => say({sent}),
  onAfterResponse: (request, response) => {
    if (request.getMethod() === "HEAD") resumed = Number(response.getHeader("Upload-Offset"));
  },
  onError: (error) => { say({error: String(error)}); process.exit(1); },
  onSuccess: ({lastResponse}) => say({url: lastResponse.getHeader("Content-Location"), resumed}),
});
upload.start();
