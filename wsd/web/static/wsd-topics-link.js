// The connection under wsd-topics.js: it is made again whenever it is lost, renews its token, and matches answers to
// requests. Requests that survive a lost connection are sent again on the next one.

export const SUBPROTOCOL = "topics.wsd.v1";
const FIRST = 500; // ms of back-off at the first try, doubled at each further one
const LONGEST = 30_000; // ms
const STEADY = 5_000; // ms that a connection must last for the back-off to start anew
const PATIENCE = 30_000; // ms in which an answer has to come; else the connection is dead
const ONCE = 300_000; // ms for which the server recognizes a publish that comes again (its key once_age)
const MOST = 10_000; // requests that may wait
const UNAUTHORIZED = 4001;
const TOO_BIG = 1009;

/** What the server refused, or what became of a request; `code` is one of docs/topics.md's. */
export class TopicsError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "TopicsError";
    this.code = code;
  }
}

/**
 * Requests and answers, over one WebSocket after the other. It calls `user.opened()` before what waits is sent,
 * `user.noticed(name, fields)` for what is no answer, `user.closed({code, reason, retry})`, where `retry` is the wait
 * in milliseconds or null at the end, and `user.failed(error)` for what no request tells.
 */
export class Link {
  isOpen = false;
  isOver = false;
  #url;
  #token;
  #user;
  #socket = null;
  #asked = new Map(); // id to request, in the order of sending
  #id = 0;
  #envelope = null; // [name, fields] whose payload is the next message
  #unsettled = 0; // requests of an earlier connection that are not answered yet
  #attempt = 0;
  #timers = {};

  /** `token` is a string, or a function that returns one, or a promise of one. */
  constructor(url, token, user) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#token = token;
    this.#user = user;
    this.#connect();
  }

  /** Throws when it has ended. */
  check() {
    if (this.isOver) throw new TopicsError("closed", "this client is closed");
  }

  /** A promise of the answer. Options: `bytes`, a binary payload, and `survives`, whether it is sent again. */
  ask(name, fields, options) {
    return new Promise((resolve, reject) => this.request(name, fields, {...options, resolve, reject}));
  }

  /** The same with callbacks, which run before the next message is read. */
  request(name, fields, {bytes = null, survives = false, resolve = () => {}, reject = () => {}}) {
    if (this.isOver) reject(new TopicsError("closed", "this client is closed"));
    else if (survives && this.#asked.size >= MOST) reject(new TopicsError("full", `${MOST} requests wait already`));
    else {
      const id = ++this.#id;
      const text = JSON.stringify({[name]: {id, ...fields}});
      const request = {id, text, bytes, survives, resolve, reject, sentAt: 0};
      this.#asked.set(id, request);
      if (this.isOpen) this.#send(request);
    }
  }

  /** Run later, unless the connection is lost before; one of each name. */
  later(name, milliseconds, run) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(run, milliseconds);
  }

  /** Reject what waits, and never connect again. */
  end(error, code = 1000, reason = "") {
    if (this.isOver) return;
    this.isOver = true;
    this.#drop();
    for (const {reject} of this.#asked.values()) reject(error);
    this.#asked.clear();
    this.#user.closed({code, reason, retry: null, error});
  }

  // -- the connection ------------------------------------------------------------------------------------------------

  async #connect() {
    let token;
    try {
      token = await this.#newToken();
    } catch (error) {
      this.#user.failed(error);
      if (!this.isOver) this.#lost(0, "no token");
      return;
    }
    if (this.isOver) return;
    let socket;
    try {
      socket = new WebSocket(this.#url, token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL]);
    } catch (error) { // a URL or a token that no WebSocket can have
      this.end(error);
      return;
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const mine = (run) => (event) => socket === this.#socket && run(event);
    socket.onopen = mine(() => this.#opened(token));
    socket.onmessage = mine(({data}) => this.#received(data));
    socket.onclose = mine(({code, reason}) => this.#lost(code, reason));
    // "close" follows, but for connections of Node.js 22 that are refused.
    socket.onerror = mine(() => socket.readyState === WebSocket.OPEN || this.#lost(1006, ""));
  }

  #newToken() {
    return typeof this.#token === "function" ? this.#token() : this.#token;
  }

  #opened(token) {
    if (this.#socket.protocol !== SUBPROTOCOL) {
      this.end(new TopicsError("subprotocol", `${this.#url} does not speak ${SUBPROTOCOL}`));
      return;
    }
    this.later("steady", STEADY, () => { this.#attempt = 0; });
    this.#renewLater(token);
    // What was sent before is answered first: whoever resumes then knows which messages are its own.
    const sent = [...this.#asked.values()].filter(({sentAt}) => sentAt);
    this.#unsettled = sent.length;
    for (const request of sent) this.#send(request);
    if (!this.#unsettled) this.#begin();
  }

  #begin() {
    this.isOpen = true;
    const waiting = [...this.#asked.values()];
    this.#user.opened();
    for (const request of waiting) this.#send(request);
  }

  #settled() {
    this.#unsettled -= 1;
    // Later: those who wait for the promises come first.
    if (!this.isOpen && !this.#unsettled) this.later("begin", 0, () => this.#begin());
  }

  #lost(code, reason) {
    this.#drop();
    if (code === TOO_BIG) this.#refuseLargest(reason);
    for (const [id, request] of this.#asked) {
      if (request.survives || !request.sentAt) continue;
      this.#asked.delete(id);
      request.reject(new TopicsError("lost", "the connection was lost before the answer"));
    }
    if (code === UNAUTHORIZED && typeof this.#token !== "function") {
      this.end(new TopicsError("unauthorized", reason || "the server requires a token"), code, reason);
      return;
    }
    const retry = Math.min(LONGEST, FIRST * 2 ** this.#attempt++) * (0.5 + Math.random() / 2);
    this.later("connect", retry, () => this.#connect());
    this.#user.closed({code, reason, retry});
  }

  #drop() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    const socket = this.#socket;
    this.#timers = {};
    this.#socket = this.#envelope = null;
    this.isOpen = false;
    if (socket && socket.readyState < 2) socket.close(1000);
  }

  /** The server takes no message as large as one of ours was: it is the largest of those that it has not answered. */
  #refuseLargest(reason) {
    const size = ({text, bytes}) => Math.max(text.length, bytes?.length ?? 0);
    const sent = [...this.#asked.values()].filter(({sentAt}) => sentAt);
    if (!sent.length) return;
    const largest = sent.reduce((one, other) => (size(other) > size(one) ? other : one));
    this.#asked.delete(largest.id);
    largest.reject(new TopicsError("too_large", reason || "the message is too large for the server"));
  }

  /** Get a new token when a fifth of the time that this one is valid for is left. */
  #renewLater(token) {
    const seconds = typeof this.#token === "function" && token ? expiry(token) - Date.now() / 1000 : NaN;
    if (!Number.isFinite(seconds)) return;
    this.later("renew", Math.min(Math.max(1, seconds * 0.8), 2 ** 31 / 1000 - 1) * 1000, async () => {
      const socket = this.#socket;
      try {
        const fresh = await this.#newToken();
        if (socket !== this.#socket) return;
        await this.ask("token", {token: fresh});
        this.#renewLater(fresh);
      } catch (error) {
        // The connection ends with 4001, and the next one asks for a token again.
        if (error.code !== "lost") this.#user.failed(error);
      }
    });
  }

  // -- requests and answers ------------------------------------------------------------------------------------------

  #send(request) {
    if (request.sentAt && Date.now() - request.sentAt > ONCE) {
      this.#asked.delete(request.id);
      request.reject(new TopicsError("lost", "it may have been published, but too long ago to be retried safely"));
      this.#unsettled -= 1;
      return;
    }
    request.sentAt ||= Date.now();
    this.#socket.send(request.text);
    if (request.bytes) this.#socket.send(request.bytes);
    if (!this.#timers.answer) this.#awaitAnswer();
  }

  /** A connection that answers nothing for so long is dead, though nobody says so. */
  #awaitAnswer() {
    this.later("answer", PATIENCE, () => this.#lost(1006, "there was no answer"));
  }

  #received(data) {
    if (typeof data !== "string") {
      const [name, {binary, ...fields}] = this.#envelope;
      this.#user.noticed(name, {...fields, form: "binary", payload: data});
      return;
    }
    const [[name, fields]] = Object.entries(JSON.parse(data));
    if (name === "message" || name === "direct") {
      const {data: json, text, ...rest} = fields;
      if (fields.binary !== undefined) this.#envelope = [name, fields];
      else if (text !== undefined) this.#user.noticed(name, {...rest, form: "text", payload: text});
      else this.#user.noticed(name, {...rest, form: "data", payload: json});
    } else if (name === "presence" || name === "gap") this.#user.noticed(name, fields);
    else this.#answered(name, fields);
  }

  #answered(name, fields) {
    const request = this.#asked.get(fields.id);
    this.#asked.delete(fields.id);
    clearTimeout(this.#timers.answer);
    this.#timers.answer = null;
    if (this.#asked.size) this.#awaitAnswer();
    if (name !== "error") request?.resolve(fields);
    else if (request) request.reject(new TopicsError(fields.code, fields.message));
    else this.#user.failed(new TopicsError(fields.code, fields.message));
    if (request) this.#settled();
  }
}

/** When a JWT expires, in seconds since 1970; NaN if it cannot be read. */
function expiry(token) {
  try {
    return Number(JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).exp);
  } catch {
    return NaN;
  }
}
