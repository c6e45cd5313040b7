// The two ways to upload a file, each a promise of the receipt. The SHA-256 is verified by both.

import {BlobError, Sha256, upload} from "/_wsd/wsd-blob.js";

const TOO_BIG = 1009;
const LOOK = 100; // milliseconds between two looks at how much is still to be sent

/** Resumable: blob.wsd.v1. `on.progress(part)` is called with the bytes on the server's disk. */
export function sendResumable(route, file, {signal, pause, on}) {
  return upload(route, file, {
    signal, pause,
    onretry: on.retry,
    onprogress: ({acknowledged}) => on.progress(acknowledged),
  });
}

/** The tutorial's way: connection.send(file). */
export async function sendSingle(route, file, {signal, on}) {
  const hashing = hashOf(file);
  const [receipt, hash] = await Promise.all([sendMessage(route, file, signal, on), hashing]);
  if (receipt.sha256 !== hash) throw new BlobError({code: "sha256", message: "the SHA-256 differs"});
  return receipt;
}

function sendMessage(route, file, signal, on) {
  return new Promise((resolve, reject) => {
    const connection = new WebSocket(new URL(route, location.href.replace(/^http/, "ws")));
    signal.addEventListener("abort", () => connection.close());
    connection.onopen = () => {
      connection.send(JSON.stringify({name: file.name, ...(file.type && {type: file.type})}));
      connection.send(file);
      const timer = setInterval(() => {
        if (connection.readyState !== WebSocket.OPEN) clearInterval(timer);
        else on.progress(Math.max(0, file.size - connection.bufferedAmount));
      }, LOOK);
    };
    connection.onmessage = ({data}) => {
      const answer = JSON.parse(data);
      if (answer.error) reject(new BlobError(answer.error));
      else resolve(answer);
      connection.close();
    };
    connection.onclose = ({code, reason}) => reject(endOf(code, reason));
  });
}

/** The error for an end without a receipt. A message beyond the limit is refused by its frame (RFC 6455 7.4.1). */
function endOf(code, reason) {
  if (code === TOO_BIG) return new BlobError({code: "too_large", message: reason});
  return reason ? new BlobError({code: "closed", message: reason}) : new Error("the connection was lost");
}

async function hashOf(file) {
  const hash = new Sha256();
  for (let at = 0; at < file.size; at += 1 << 20) {
    hash.update(new Uint8Array(await file.slice(at, at + (1 << 20)).arrayBuffer()));
  }
  return hash.hex();
}
