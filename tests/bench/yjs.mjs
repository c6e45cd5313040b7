// Clients of y-websocket's format for yjs.py: CLIENTS of them send RATE updates a second in all, of a character each.
//
//   node yjs.mjs URL CLIENTS RATE SECONDS
//
// Prints "warm" when all are connected, and at the end a line of JSON. An update is acknowledged when it comes back.
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import * as encoding from "lib0/encoding";
import * as Y from "yjs";

const [url, clients, rate, seconds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const SYNC = 0, UPDATE = 2;
const delays = [];
let sent = 0, received = 0;

function messageOf(update) {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, SYNC);
  encoding.writeVarUint(encoder, UPDATE);
  encoding.writeVarUint8Array(encoder, update);
  return Buffer.from(encoding.toUint8Array(encoder));
}

class Client {
  constructor() {
    this.doc = new Y.Doc();
    this.text = this.doc.getText("text");
    this.waiting = []; // the updates that have not come back, with the time of each
    this.doc.on("update", (update) => this.send(messageOf(update)));
    this.socket = new WebSocket(url);
    this.socket.on("message", (data) => this.take(data));
    this.opened = new Promise((resolve) => this.socket.on("open", resolve));
  }

  send(message) {
    this.waiting.push([message, performance.now()]);
    this.socket.send(message);
    sent += 1;
  }

  take(data) {
    if (data[0] !== SYNC || data[1] !== UPDATE) return;
    received += 1;
    if (!this.waiting.length || !this.waiting[0][0].equals(data)) return;
    delays.push(performance.now() - this.waiting.shift()[1]);
  }
}

const all = Array.from({ length: clients }, () => new Client());
await Promise.all(all.map(({ opened }) => opened));
console.log("warm");
const begun = performance.now();
for (let number = 0; number < rate * seconds;) {
  const due = Math.min(rate * seconds, Math.floor(((performance.now() - begun) / 1000) * rate));
  for (; number < due; number++) {
    const { text } = all[number % clients];
    text.insert(text.length, "x");
  }
  await pause(2);
}
const over = performance.now() + 10_000;
while (delays.length < sent && performance.now() < over) await pause(10);
delays.sort((one, other) => one - other);
const took = (performance.now() - begun) / 1000;
const at = (share) => delays[Math.floor((delays.length - 1) * share)];
console.log(JSON.stringify({ sent, acknowledged: delays.length, received, took, half: at(0.5), most: at(0.99) }));
process.exit(0);
