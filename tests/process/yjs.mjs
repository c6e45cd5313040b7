// A y-websocket client that does what its standard input says, one command a line, and answers each in a line of JSON.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const [url, name, seed] = process.argv.slice(2);
let random = Number(seed);
const below = (limit) => {
  random = (random * 1103515245 + 12345) % 2147483648;
  return random % limit;
};

const doc = new Y.Doc();
const text = doc.getText("text");
const provider = new WebsocketProvider(url, name, doc, {
  WebSocketPolyfill: WebSocket,
  disableBc: true,
  maxBackoffTime: 500,
});

const commands = {
  async synced() {
    while (!provider.synced) await pause(10);
    return {};
  },
  async edit(count) {
    for (let number = 0; number < count; number++) {
      const length = text.length;
      if (length > 3 && below(5) === 0) text.delete(below(length - 2), 1 + below(2));
      else text.insert(below(length + 1), String.fromCodePoint(97 + below(26)));
      if (number % 20 === 0) await pause(1);
    }
    return {};
  },
  async append(more) {
    text.insert(text.length, more);
    return {};
  },
  async disconnect() {
    provider.disconnect();
    return {};
  },
  async connect() {
    provider.connect();
    return {};
  },
  async text() {
    return { text: text.toString() };
  },
  async state(name) {
    provider.awareness.setLocalStateField("user", { name });
    return {};
  },
  async others() {
    const states = [...provider.awareness.getStates().entries()];
    return { names: states.filter(([id]) => id !== doc.clientID).map(([, state]) => state.user?.name ?? null) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument] = line.split(" ");
  console.log(JSON.stringify(await commands[command](argument)));
}
process.exit(0);
