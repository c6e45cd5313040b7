// Clients of topics in Node.js: npm's eventsource and reconnecting-websocket, unmodified, and the module of wsd itself.
// It says as JSON lines what they hear, and publishes each line of stdin.
// node topics.mjs eventsource URL | reconnecting-websocket URL | module URL

import {createInterface} from "node:readline";
import {EventSource} from "eventsource";
import ReconnectingWebSocket from "reconnecting-websocket";
import WebSocket from "ws";
import {Topics} from "../../wsd/web/static/wsd-topics.js";

const [kind, url] = process.argv.slice(2);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const lines = createInterface({input: process.stdin});

if (kind === "eventsource") {
  const source = new EventSource(url);
  source.onopen = () => say({open: true});
  source.onmessage = ({data, lastEventId}) => say({data, lastEventId});
} else if (kind === "reconnecting-websocket") {
  const Implementation = globalThis.WebSocket ?? WebSocket; // from Node.js 22 on there is one
  const socket = new ReconnectingWebSocket(url, [], {WebSocket: Implementation, maxReconnectionDelay: 500});
  socket.onopen = () => say({open: true});
  socket.onmessage = ({data}) => say({data});
  lines.on("line", (line) => socket.send(line));
} else {
  globalThis.WebSocket ??= WebSocket;
  const topics = new Topics(url);
  topics.addEventListener("open", () => say({open: true}));
  topics.subscribe("module", {onmessage: ({payload}) => say({data: payload}), ongap: (gap) => say({gap})});
  // What begins with "!" comes back to us as well.
  lines.on("line", async (line) => say({position: await topics.publish("module", line, {echo: line.startsWith("!")})}));
}
