// A client of blob.wsd.v1, for pages: uploads and downloads that go on by themselves when the connection is lost or the
// server is killed. Import it as a module; it needs nothing else.
//
//   import {upload, download} from "/_wsd/wsd-blob.js";
//   const receipt = await upload("/blob", input.files[0], {onprogress: ({acknowledged, size}) => ...});
//   const blob = await download("/blob", receipt.id);

const HEAD = 12; // a chunk's offset (8 bytes) and CRC-32 (4 bytes), the most significant first
const CREDIT = 4 << 20; // bytes of a download that may be on their way
const PATIENCE = 60_000; // milliseconds in which an answer has to come
const FINAL = new Set(["bad_name", "conflict", "sha256", "too_large", "unknown"]); // nothing is left to be resumed
const AGAIN = new Set(["checksum", "offset", "credit", "busy", "disk_full", "unavailable", "no_transfer"]);

/** What the server said was wrong; `code` is one of docs/blob-protocol.md's. */
export class BlobError extends Error {
  constructor({code, message}) {
    super(message);
    this.name = "BlobError";
    this.code = code;
  }
}

/**
 * Upload a File or Blob: a promise of the receipt `{id, name, size, sha256, type, url}`.
 *
 * `url` is the route's, relative ones too. Options: `name`, `type`, `onprogress({sent, acknowledged, size})`, `signal` (an
 * AbortSignal: the upload is abandoned, and removed at the server), `pause` (an AbortSignal: the upload ends, and can be
 * resumed), `onretry(error)` (called before it waits and tries again), `chunk` (bytes), and `patience`, the milliseconds for
 * which it tries again without getting any further (ten minutes). An upload of the same file by the same browser goes on
 * where the last one ended, after a reload too. The SHA-256 of the receipt is that of the file, or the promise is rejected.
 */
export async function upload(url, file, options = {}) {
  const name = options.name ?? file.name ?? "blob";
  const place = `wsd-blob ${new URL(url, location.href)} ${name} ${file.size} ${file.lastModified ?? ""}`;
  const state = {
    file, name, options,
    token: recall(place) ?? makeToken(),
    hash: new Sha256(),
    hashed: 0, acknowledged: 0, sent: 0,
  };
  remember(place, state.token);
  const signal = AbortSignal.any([options.signal, options.pause].filter(Boolean));
  try {
    const attempt = () => uploadOnce(url, state, signal);
    const receipt = await persist({...options, signal}, attempt, () => state.acknowledged);
    remember(place, null);
    return receipt;
  } catch (error) {
    if (options.signal?.aborted) await abandon(url, state.token);
    if (options.signal?.aborted || FINAL.has(error.code)) remember(place, null);
    throw error;
  }
}

/**
 * Download a file by its id: a promise of a Blob.
 *
 * Options: `onprogress({received, size})`, `signal`, `patience`, `offset`, `length`, and `write(bytes)`, which gets the
 * bytes in order, and may return a promise; then nothing is gathered, and the promise is of the file's receipt.
 */
export async function download(url, id, options = {}) {
  const state = {id, options, start: options.offset ?? 0, received: 0, length: options.length, pieces: [], file: null};
  await persist(options, (signal) => downloadOnce(url, state, signal), () => state.received);
  return options.write ? state.file : new Blob(state.pieces, {type: state.file.type});
}

// -- one try ---------------------------------------------------------------------------------------------------------

async function uploadOnce(url, state, signal) {
  const {file, options} = state;
  const line = await Line.open(url, signal);
  try {
    await line.next("hello");
    const begin = {name: state.name, size: file.size, token: state.token};
    const type = options.type ?? file.type;
    line.say("begin", {...begin, ...(type && {type}), ...(options.chunk && {chunk: options.chunk})});
    const answer = await line.next("ready", "have");
    if (answer.have) {
      await hashUpTo(state, file.size);
      return verified(answer.have, state.hash.copy().hex());
    }
    let {offset, credit, chunk} = answer.ready;
    let granted = offset + credit;
    tell(state, offset, offset);
    await hashUpTo(state, offset);
    while (offset < file.size) {
      const bytes = await read(file, offset, Math.min(offset + Math.min(chunk, 1 << 18), file.size));
      while (offset + bytes.length > granted) granted = acknowledged(state, await line.next("ack"));
      for (const ack of line.waiting("ack")) granted = acknowledged(state, ack);
      line.sendChunk(offset, bytes);
      hashHere(state, offset, bytes);
      offset += bytes.length;
      tell(state, offset, state.acknowledged);
    }
    const sha256 = state.hash.copy().hex();
    line.say("end", {sha256});
    for (;;) {
      const last = await line.next("done", "ack");
      if (last.done) {
        tell(state, file.size, file.size);
        return verified(last.done, sha256);
      }
      acknowledged(state, last);
    }
  } finally {
    line.close();
  }
}

async function downloadOnce(url, state, signal) {
  const line = await Line.open(url, signal);
  try {
    await line.next("hello");
    const left = state.length === undefined ? {} : {length: state.length - state.received};
    line.say("get", {id: state.id, offset: state.start + state.received, credit: CREDIT, ...left});
    const {file} = await line.next("file");
    state.file ??= file;
    if (file.sha256 !== state.file.sha256) throw new BlobError({code: "unknown", message: "the file has been replaced"});
    const size = state.received + file.length;
    let taken = 0;
    while (state.received < size) {
      const bytes = checked(await line.nextChunk(), state.start + state.received);
      await state.options.write?.(bytes);
      if (!state.options.write) state.pieces.push(bytes);
      state.received += bytes.length;
      taken += bytes.length;
      if (taken >= CREDIT / 2) {
        line.say("credit", {bytes: taken});
        taken = 0;
      }
      state.options.onprogress?.({received: state.received, size});
    }
  } finally {
    line.close();
  }
}

function checked(message, due) {
  const view = new DataView(message);
  const bytes = new Uint8Array(message, HEAD);
  if (Number(view.getBigUint64(0)) !== due || view.getUint32(8) !== crc32(bytes)) {
    throw new BlobError({code: "checksum", message: "received a damaged chunk"});
  }
  return bytes;
}

function verified(receipt, sha256) {
  if (receipt.sha256 === sha256) return receipt;
  throw new BlobError({code: "sha256", message: "the stored file is damaged: its SHA-256 is wrong"});
}

function acknowledged(state, {ack}) {
  tell(state, state.sent, ack.offset);
  return ack.offset + ack.credit;
}

function tell(state, sent, acknowledged) {
  Object.assign(state, {sent, acknowledged});
  state.options.onprogress?.({sent, acknowledged, size: state.file.size});
}

async function read(file, start, end) {
  return new Uint8Array(await file.slice(start, end).arrayBuffer());
}

/** Before an offset the server has everything; the hash of the whole needs it all the same. */
async function hashUpTo(state, offset) {
  while (state.hashed < offset) {
    const bytes = await read(state.file, state.hashed, Math.min(state.hashed + (1 << 20), offset));
    state.hash.update(bytes);
    state.hashed += bytes.length;
  }
}

function hashHere(state, offset, bytes) {
  const fresh = bytes.subarray(Math.max(0, state.hashed - offset));
  state.hash.update(fresh);
  state.hashed += fresh.length;
}

async function abandon(url, token) {
  try {
    const line = await Line.open(url);
    line.say("abort", {token});
    await line.next("hello");
    await line.next("aborted");
    line.close();
  } catch {
    // It expires by itself.
  }
}

// -- trying again ----------------------------------------------------------------------------------------------------

/** Try until it is done: at once where something came of it, else after a while, and not for ever. */
async function persist({signal, onretry, patience = 600_000}, attempt, progress) {
  let pause = 250, seen = -1, since = Date.now();
  for (;;) {
    try {
      signal?.throwIfAborted();
      return await attempt(signal);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof BlobError && !AGAIN.has(error.code)) throw error;
      if (error instanceof DOMException) throw error; // the file cannot be read any more, the address cannot be
      if (progress() !== seen) [seen, since, pause] = [progress(), Date.now(), 250];
      if (Date.now() - since > patience) throw error;
      onretry?.(error);
      await new Promise((resolve) => {
        setTimeout(resolve, pause);
        signal?.addEventListener("abort", resolve, {once: true});
      });
      pause = Math.min(pause * 2, 10_000);
    }
  }
}

function makeToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

function recall(place) {
  try {
    return localStorage.getItem(place);
  } catch {
    return null; // a page without storage
  }
}

function remember(place, token) {
  try {
    if (token === null) localStorage.removeItem(place);
    else localStorage.setItem(place, token);
  } catch {
    // The upload goes on all the same, but not after a reload.
  }
}

// -- the connection --------------------------------------------------------------------------------------------------

/** One WebSocket, whose messages are waited for. */
class Line {
  #socket;
  #came = [];
  #waiting = null;
  #over = null;

  static async open(url, signal) {
    const address = new URL(url, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const line = new Line();
    line.#socket = new WebSocket(address, "blob.wsd.v1");
    line.#socket.binaryType = "arraybuffer";
    line.#socket.onmessage = ({data}) => line.#push(typeof data === "string" ? JSON.parse(data) : data);
    line.#socket.onclose = ({code, reason}) => line.#end(new Error(`the connection was lost: ${code} ${reason}`));
    signal?.addEventListener("abort", () => line.#end(signal.reason), {once: true});
    return line;
  }

  #push(message) {
    this.#came.push(message);
    this.#waiting?.();
  }

  #end(error) {
    this.#over ??= error;
    this.#waiting?.();
  }

  async #message() {
    const late = setTimeout(() => this.#end(new Error("the server did not answer")), PATIENCE);
    while (!this.#came.length && !this.#over) await new Promise((resolve) => { this.#waiting = resolve; });
    clearTimeout(late);
    if (!this.#came.length) throw this.#over;
    return this.#came.shift();
  }

  /** The next message, which has one of these names. */
  async next(...names) {
    const message = await this.#message();
    if (message.error) throw new BlobError(message.error);
    if (!names.some((name) => name in message)) throw new Error(`${Object.keys(message)} came where ${names} was due`);
    return message;
  }

  /** The next chunk. */
  async nextChunk() {
    const message = await this.#message();
    if (message.error) throw new BlobError(message.error);
    return message;
  }

  /** What has come already of this name, up to the first that is something else. */
  *waiting(name) {
    while (this.#came.length && name in this.#came[0]) yield this.#came.shift();
  }

  say(name, fields) {
    this.#send(JSON.stringify({[name]: fields}));
  }

  sendChunk(offset, bytes) {
    const message = new Uint8Array(HEAD + bytes.length);
    const view = new DataView(message.buffer);
    view.setBigUint64(0, BigInt(offset));
    view.setUint32(8, crc32(bytes));
    message.set(bytes, HEAD);
    this.#send(message);
  }

  #send(message) {
    if (this.#over) throw this.#over;
    if (this.#socket.readyState === WebSocket.CONNECTING) {
      this.#socket.addEventListener("open", () => this.#socket.send(message), {once: true});
    } else {
      this.#socket.send(message);
    }
  }

  close() {
    this.#socket.onclose = null;
    this.#socket.close();
  }
}

// -- checksums -------------------------------------------------------------------------------------------------------

const CRC = Uint32Array.from({length: 256}, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte >>> 0;
});

/** CRC-32, zlib's (RFC 1952 8). */
export function crc32(bytes) {
  let crc = ~0;
  for (let at = 0; at < bytes.length; at++) crc = CRC[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const PRIMES = (() => {
  const found = [];
  for (let number = 2; found.length < 64; number++) if (found.every((prime) => number % prime)) found.push(number);
  return found;
})();
const fraction = (root) => (root - Math.floor(root)) * 2 ** 32 | 0;
const ROUNDS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));

/** SHA-256 (FIPS 180-4) of bytes as they come: crypto.subtle takes only what is whole. */
export class Sha256 {
  #state = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  #block = new Uint8Array(64);
  #words = new Int32Array(64);
  #length = 0;

  update(bytes) {
    let at = 0;
    const filled = this.#length % 64;
    this.#length += bytes.length;
    if (filled) {
      at = Math.min(64 - filled, bytes.length);
      this.#block.set(bytes.subarray(0, at), filled);
      if (filled + at < 64) return this;
      this.#compress(this.#block, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) this.#compress(bytes, at);
    this.#block.set(bytes.subarray(at));
    return this;
  }

  copy() {
    const other = new Sha256();
    other.#state.set(this.#state);
    other.#block.set(this.#block);
    other.#length = this.#length;
    return other;
  }

  /** The hash in hex; nothing can be added after that. */
  hex() {
    const bits = BigInt(this.#length) * 8n;
    const end = new Uint8Array(((119 - this.#length % 64) % 64) + 9);
    end[0] = 0x80;
    new DataView(end.buffer).setBigUint64(end.length - 8, bits);
    this.update(end);
    return [...this.#state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #compress(bytes, at) {
    const words = this.#words;
    for (let i = 0; i < 16; i++, at += 4) {
      words[i] = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const x = words[i - 15], y = words[i - 2];
      const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ (x >>> 3);
      const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ (y >>> 10);
      words[i] = (words[i - 16] + s0 | 0) + (words[i - 7] + s1 | 0) | 0;
    }
    const state = this.#state;
    let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (let i = 0; i < 64; i++) {
      const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
      const one = (h + s1 | 0) + ((e & f ^ ~e & g) + (ROUNDS[i] + words[i] | 0) | 0) | 0;
      const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
      const two = s0 + (a & b ^ a & c ^ b & c) | 0;
      h = g; g = f; f = e; e = d + one | 0; d = c; c = b; b = a; a = one + two | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
}
