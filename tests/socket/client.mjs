// A client of the npm package `ws`: carries out the plan that it reads as JSON, and prints as JSON what came of it.
import { readFileSync } from "node:fs";
import WebSocket from "ws";

const { url, subprotocols = [], authority, deflate = true, messages = [], bye } = JSON.parse(readFileSync(0));
const socket = new WebSocket(url, subprotocols, {
  ca: authority && readFileSync(authority),
  perMessageDeflate: deflate && { threshold: 0 },
});
const seen = { protocol: "", extensions: "", messages: [], pings: 0, error: null };

socket.on("open", () => {
  seen.protocol = socket.protocol;
  seen.extensions = socket.extensions;
  for (const { text, hex } of messages) socket.send(text ?? Buffer.from(hex, "hex"));
});
socket.on("ping", () => seen.pings++);
socket.on("message", (data, isBinary) => {
  seen.messages.push(isBinary ? { hex: data.toString("hex") } : { text: data.toString() });
  if (bye && seen.messages.length === messages.length) socket.close(bye.code, bye.reason);
});
socket.on("error", (error) => (seen.error = error.message));
socket.on("close", (code, reason) => console.log(JSON.stringify({ ...seen, code, reason: reason.toString() })));
