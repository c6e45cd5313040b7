// A client of topics.wsd.v1 (docs/topics.md) for pages and for Node.js 22, without a build step. It reconnects
// automatically, resumes each subscription from its last position, and publishes again what was not acknowledged.

/**
 * @typedef {any} Payload What JSON can hold; a string if `form` is "text"; or an ArrayBuffer, or a view of one.
 * @typedef {{topic: string, position?: string, key?: string, type?: string, form: "data" | "text" | "binary",
 *   payload: Payload, from?: string}} Message A direct message has `from`, all others have `position`.
 * @typedef {{topic: string, position?: string, skipped?: number}} Gap Messages are lost; `skipped` if we were too slow.
 * @typedef {{member: string, user?: string, state: any}} Member
 * @typedef {Member & {topic: string, change: "join" | "update" | "leave"}} PresenceEvent
 * @typedef {{since?: string, history?: number, last?: boolean, onmessage?: (message: Message) => void,
 *   ongap?: (gap: Gap) => void, onpresence?: (event: PresenceEvent) => void,
 *   onmembers?: (members: Member[]) => void}} SubscribeOptions `onmembers` is called on each connection.
 * @typedef {{form?: "text", type?: string, key?: string, ttl?: number, once?: string, echo?: boolean}} PublishOptions
 */

const SUBPROTOCOL = "topics.wsd.v1";
const [FIRST, LONGEST] = [500, 30_000]; // ms of back-off, doubled at each try
const STEADY = 5_000; // ms that a connection must last for the back-off to start anew
const PATIENCE = 30_000; // ms without a sign of life, after which a request is not going to be answered
const ONCE = 300_000; // ms for which the server recognizes a publish that is sent again (its once_age)
const MOST = 10_000; // requests that may wait
const [TOO_BIG, TRY_AGAIN_LATER, UNAUTHORIZED] = [1009, 1013, 4001]; // close codes

/** What the server refused, or what became of a request; docs/topics.md lists the codes. */
export class TopicsError extends Error {
  name = "TopicsError";
  constructor(code, message) { super(message); this.code = code; }
}

/** A topic or filter: a request that stands, so that it is sent on each connection. */
class Subscription {
  name = "subscribe";
  position = null; // everything up to there has come; null for a filter
  replayed = 0; // messages that still follow the server's answer
  #end; // the position behind them; undefined for a filter
  #own = new Set(); // positions beyond `position` where we have published: a replay has these messages as well

  get fields() {
    const {since, history, last, onpresence, onmembers} = this.options;
    const start = this.position ?? since ? {since: this.position ?? since} : {history};
    return {topic: this.topic, ...start, last, presence: Boolean(onpresence || onmembers) || undefined};
  }

  granted({position, replayed = 0, gap, members}) {
    if (gap) [this.position, this.#own] = [null, new Set()];
    if (gap || (!position && this.isLive === false)) call(this, "ongap", {topic: this.topic, position});
    if (members) call(this, "onmembers", members);
    [this.replayed, this.#end] = [replayed, position];
    if (!replayed) this.#advance(position);
  }

  noticed(name, notice) {
    if (name !== "message") return call(this, `on${name}`, notice);
    if (!isUpTo(notice.position, this.position) && !this.#own.has(notice.position)) call(this, "onmessage", notice);
    this.#advance(notice.position);
    if (this.replayed && --this.replayed === 0) this.#advance(this.#end);
  }

  published(position) {
    this.#own.add(position);
    if (this.position) this.#advance(this.position);
  }

  #advance(position) {
    if (!this.#end) return;
    if (!isUpTo(position, this.position)) this.position = position;
    while (this.#own.has(following(this.position))) this.position = following(this.position);
    for (const own of this.#own) if (isUpTo(own, this.position)) this.#own.delete(own);
  }

  matches(topic) {
    const [levels, filter] = [topic.split("/"), this.topic.split("/")];
    if (topic.startsWith("$") && /^[+#]/.test(this.topic)) return false;
    if (filter.at(-1) === "#" && filter.pop()) levels.splice(filter.length);
    return levels.length === filter.length && filter.every((level, at) => level === "+" || level === levels[at]);
  }
}

/** One connection to a route of topics, made again whenever it is lost. Events: "open"; "close" with `detail` {code,
 * reason, retry}, `retry` in ms or null at the end; "direct" with a Message; "error" with one that no promise tells. */
export class Topics extends EventTarget {
  isOpen = false; // whether requests are sent at once
  #url; #token; #socket = null; #isOver = false;
  #timers = []; // until the connection is lost
  #attempt = 0; #heardAt = 0; #id = 0;
  #requests = new Map(); // by id, in the order of asking: those without an answer, and those that stand
  #standing = new Map(); // the latter by name and topic
  #envelope; // the name and fields of the message whose payload is the next, binary one

  /** @param {string | URL} url @param {{token?: string | (() => string | Promise<string>)}} [options] `token`: a JWT */
  constructor(url, {token} = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href).href.replace(/^http/, "ws");
    this.#token = token;
    this.#connect();
  }

  /** @param {string} topic or filter @param {SubscribeOptions} [options] */
  subscribe(topic, options = {}) {
    const stands = `subscribe ${topic}`;
    if (this.#standing.has(stands)) throw new TopicsError("subscribed", `${topic} is subscribed to already`);
    const subscription = Object.assign(new Subscription(), {topic, options, stands});
    (subscription.ready = this.#ask(subscription)).catch((error) => this.#isOver || tell(this, "error", error));
    subscription.close = () => {
      subscription.options = {};
      if (this.#forget(subscription) && this.isOpen) this.#ask({name: "unsubscribe", fields: {topic}}).catch(() => {});
    };
    return subscription;
  }

  /** Publish now or on the next connection: once, however often it is sent. @returns {Promise<string>} the position
   * @param {string} topic @param {Payload} payload @param {PublishOptions} [options] */
  async publish(topic, payload, {form, type, key, ttl, once = randomKey(), echo} = {}) {
    const request = requestOf("publish", {topic, key, ttl, once, echo}, payload, form, type);
    const granted = ({position}) => echo || this.#standing.get(`subscribe ${topic}`)?.published(position);
    return (await this.#ask({...request, survives: true, granted})).position;
  }

  /** A message to one member. It is not sent again: after its next connection the member is another one. */
  async direct(topic, to, payload) {
    await this.#ask(requestOf("direct", {topic, to}, payload));
  }

  /** Be present at a topic, or change the state there. @returns {Promise<string>} our id there, for this connection */
  async enter(topic, state = null) {
    const presence = this.#standing.get(`enter ${topic}`) ?? {name: "enter", stands: `enter ${topic}`};
    return (await this.#ask(Object.assign(presence, {fields: {topic, state}}))).member;
  }

  async leave(topic) {
    const presence = this.#standing.get(`enter ${topic}`);
    if (presence && this.#forget(presence) && this.isOpen) await this.#ask({name: "leave", fields: {topic}});
  }

  /** @returns {Promise<Member[]>} who is present */
  async members(topic) {
    return (await this.#ask({name: "members", fields: {topic}, survives: true})).members;
  }

  /** End it. What is not acknowledged yet is rejected. */
  close() {
    if (!this.#isOver) this.#lost(1000, "", new TopicsError("closed", "this client was closed"));
  }

  async #connect() {
    try {
      const token = typeof this.#token === "function" ? await this.#token() : this.#token;
      if (this.#isOver) return;
      const socket = this.#socket = new WebSocket(this.#url, [SUBPROTOCOL, ...(token ? [`bearer.${token}`] : [])]);
      const current = (run) => (event) => socket === this.#socket && run(event);
      socket.binaryType = "arraybuffer";
      socket.onopen = current(() => this.#opened(token));
      socket.onmessage = current(({data}) => this.#received(data));
      socket.onclose = current(({code, reason}) => this.#lost(code, reason));
      socket.onerror = current(() => this.#lost(1006, "")); // not always followed by "close" in Node.js 22
    } catch (error) { // There is no token, or no WebSocket can have this one.
      tell(this, "error", error);
      if (!this.#isOver) this.#lost(0, error.message);
    }
  }

  #opened(token) {
    if (this.#socket.protocol !== SUBPROTOCOL) {
      return this.#lost(1000, "", new TopicsError("subprotocol", `${this.#url} does not speak ${SUBPROTOCOL}`));
    }
    [this.isOpen, this.#heardAt] = [true, Date.now()];
    const isLate = ({sentAt}) => sentAt && Date.now() - Math.max(sentAt, this.#heardAt) > PATIENCE;
    const watch = () => [...this.#requests.values()].some(isLate) && this.#lost(1006, "there was no answer");
    this.#timers.push(setTimeout(() => { this.#attempt = 0; }, STEADY), setInterval(watch, PATIENCE / 4));
    this.#renewLater(token);
    // What was sent before goes first, and is answered first: a subscription must know its own messages in a replay.
    [...this.#requests.values()].sort((one, other) => !one.sentAt - !other.sentAt).forEach((each) => this.#send(each));
    tell(this, "open");
  }

  /** The connection is lost; with an error, this client is over. */
  #lost(code, reason, error = null) {
    const [socket, requests] = [this.#socket, [...this.#requests.values()]];
    [this.#socket, this.isOpen] = [null, false];
    this.#timers.splice(0).forEach(clearTimeout);
    if (socket?.readyState < WebSocket.CLOSING) socket.close(1000);
    const isFixed = typeof this.#token !== "function";
    if (code === UNAUTHORIZED && isFixed) error = new TopicsError("unauthorized", reason || "a token is required");
    this.#isOver = error !== null;
    const [largest] = requests.filter(({sentAt}) => sentAt).sort((one, other) => other.size - one.size);
    if (largest && code === TOO_BIG) this.#reject(largest, "too_large", reason || "the message is too large");
    for (const request of requests) {
      if (error) this.#reject(request, error.code, error.message);
      else if (request.stands) Object.assign(request, {sentAt: 0, isLive: request.isLive && false});
      else if (request.sentAt && !request.survives) this.#reject(request, "lost", "the connection was lost");
    }
    if (error && error.code !== "closed") tell(this, "error", error);
    const retry = error ? null : Math.min(LONGEST, FIRST * 2 ** this.#attempt++) * (0.5 + Math.random() / 2);
    if (!error) this.#timers.push(setTimeout(() => this.#connect(), retry));
    tell(this, "close", {code, reason, retry});
  }

  /** Get a new token when a fifth of the time that this one is valid for is left. Without one, the server closes. */
  #renewLater(token) {
    const left = typeof this.#token === "function" ? expiryOf(token) * 1000 - Date.now() : NaN;
    if (Number.isNaN(left)) return;
    const renew = async () => {
      const fresh = await this.#token();
      await this.#ask({name: "token", fields: {token: fresh}});
      this.#renewLater(fresh);
    };
    const failed = (error) => ["lost", "closed"].includes(error.code) || tell(this, "error", error);
    this.#timers.push(setTimeout(() => renew().catch(failed), Math.min(Math.max(1_000, left * 0.8), 2 ** 31 - 1)));
  }

  /** Send a request, now or on the next connection. Returns a promise of the answer, which `granted` gets first. */
  #ask(request) {
    return new Promise((resolve, reject) => {
      if (this.#isOver) throw new TopicsError("closed", "this client is closed");
      if (this.#requests.size >= MOST) throw new TopicsError("full", `${MOST} requests wait already`);
      this.#requests.delete(request.id);
      Object.assign(request, {id: ++this.#id, sentAt: 0, waiting: [...request.waiting ?? [], {resolve, reject}]});
      this.#requests.set(request.id, request);
      if (request.stands) this.#standing.set(request.stands, request);
      if (this.isOpen) this.#send(request);
    });
  }

  #send(request) {
    const {id, name, fields, bytes, sentAt} = request;
    if (sentAt && Date.now() - sentAt > ONCE) {
      return this.#reject(request, "lost", "it may have been published, but too long ago to be sent again safely");
    }
    const text = JSON.stringify({[name]: {id, ...fields}});
    Object.assign(request, {sentAt: sentAt || Date.now(), size: Math.max(text.length, bytes?.length ?? 0)});
    this.#socket.send(text);
    if (bytes) this.#socket.send(bytes);
  }

  #forget(request) { // returns false if it is not among the requests
    if (this.#standing.get(request.stands) === request) this.#standing.delete(request.stands);
    return this.#requests.delete(request.id);
  }

  #reject(request, code, message) {
    this.#forget(request);
    for (const {reject} of request.waiting.splice(0)) reject(new TopicsError(code, message));
  }

  #received(data) {
    this.#heardAt = Date.now();
    if (typeof data !== "string") return this.#noticed(this.#envelope.name, {...this.#envelope.fields, payload: data});
    const [[name, {data: json, text, binary, ...fields}]] = Object.entries(JSON.parse(data));
    if (binary !== undefined) this.#envelope = {name, fields: {...fields, form: "binary"}};
    else if (text !== undefined) this.#noticed(name, {...fields, form: "text", payload: text});
    else if (json !== undefined) this.#noticed(name, {...fields, form: "data", payload: json});
    else if (name === "presence" || name === "gap") this.#noticed(name, fields);
    else this.#answered(name, fields);
  }

  #noticed(name, notice) {
    if (name === "direct") return tell(this, "direct", notice);
    const live = [...this.#standing.values()].filter((each) => each.isLive && each.matches?.(notice.topic));
    const replaying = name === "message" && live.find(({replayed}) => replayed); // only one at a time is replayed to
    for (const each of replaying ? [replaying] : live) each.noticed(name, notice);
  }

  #answered(name, {id, code, message, ...answer}) {
    const request = this.#requests.get(id) ?? {waiting: []};
    if (name === "error") {
      if (request.stands && (code === "busy" || code === "unavailable")) return this.#lost(TRY_AGAIN_LATER, message);
      if (!request.waiting.length) tell(this, "error", new TopicsError(code, message));
      return this.#reject(request, code, message);
    }
    request.granted?.(answer);
    Object.assign(request, {sentAt: 0, isLive: true});
    if (!request.stands) this.#forget(request);
    for (const {resolve} of request.waiting.splice(0)) resolve(answer);
  }
}

const tell = (target, name, detail) => target.dispatchEvent(new CustomEvent(name, {detail}));
/** Run a callback of the application's. What it throws is reported, and disturbs nothing here. */
const call = (subscription, name, argument) => queueMicrotask(() => subscription.options[name]?.(argument));
const randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-"); // randomUUID is for secure contexts alone
const [epochOf, offsetOf] = [(position) => position.split("-")[0], (position) => Number(position.split("-")[1])];
const following = (position) => `${epochOf(position)}-${offsetOf(position) + 1}`;
/** Whether a position is in the same epoch as another one, and not beyond it. */
const isUpTo = (position, other) =>
  other !== null && epochOf(position) === epochOf(other) && offsetOf(position) <= offsetOf(other);

/** A request with a payload. Bytes are copied, since they may change before they are sent. */
function requestOf(name, fields, payload, form, type) {
  const isBinary = payload instanceof ArrayBuffer || ArrayBuffer.isView(payload);
  const bytes = isBinary && new Uint8Array(payload.buffer ?? payload, payload.byteOffset, payload.byteLength).slice();
  const content = isBinary ? {binary: true, type} : form === "text" ? {text: payload, type} : {data: payload ?? null};
  return {name, fields: {...fields, ...content}, bytes};
}

/** When a JWT expires, in seconds since 1970; NaN if it cannot be read. */
function expiryOf(token) {
  try { return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp; } catch { return NaN; }
}
