// The connection to the service: sends envelopes, and tells what comes.

import {openSocket} from "/_wsd/why.js";
import {decode, encode, Strings} from "./nbfx.js";

/** `on` has the functions `message(text)` and `ended(reason, wasOpen, why)`; `why` is what the daemon tells of it, or null. */
export class ServiceConnection {
  #socket = null;

  constructor(route, on) {
    this.route = route;
    this.on = on;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends an envelope, after connecting where that is necessary. `sent` is called when it is on its way. */
  send(envelope, sent) {
    const socket = this.#connected();
    const go = () => {
      socket.send(envelope);
      sent();
    };
    if (socket.readyState === WebSocket.OPEN) go();
    else socket.addEventListener("open", go, {once: true});
  }

  #connected() {
    if (this.#socket && this.#socket.readyState <= WebSocket.OPEN) return this.#socket;
    const {socket, why} = openSocket(new URL(this.route || "/", location.href.replace(/^http/, "ws")), "soap");
    let wasOpen = false;
    socket.onopen = () => { wasOpen = true; };
    socket.onmessage = ({data}) => this.on.message(data);
    socket.onclose = async ({reason}) => this.on.ended(reason, wasOpen, reason || wasOpen ? null : await why());
    this.#socket = socket;
    return socket;
  }
}

const BINARY = "application/soap+msbin1";
let strings = null;

/**
 * Sends an envelope in binary over HTTP, since a page cannot choose the encoding of a WebSocket. Returns the bytes that
 * were sent and received, and the answer as XML, "" for none. Throws an Error with the sentence of a refusal.
 */
export async function sendBinary(route, root) {
  strings ??= new Strings(await (await fetch(`${route}/nbfs.txt`)).text());
  const sent = encode(root, strings);
  const response = await fetch(route || "/", {method: "POST", headers: {"Content-Type": BINARY}, body: sent});
  const received = new Uint8Array(await response.arrayBuffer());
  if (received.length && response.headers.get("Content-Type") !== BINARY) {
    throw new Error(new TextDecoder().decode(received).trim());
  }
  return {sent, received, text: received.length ? decode(received, strings) : ""};
}

/** The command that sends an envelope over HTTP, for a POSIX shell. */
export function curlOf(route, envelope) {
  const quoted = envelope.trim().replaceAll("'", "'\\''");
  const url = new URL(route || "/", location.href);
  return `curl -sS '${url}' -H 'Content-Type: application/soap+xml; charset=utf-8' --data-binary '${quoted}'\n`;
}
