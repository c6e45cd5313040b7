// What the person typed, checked before the browser sees it; each fault is a Wrong, whose sentence names it.

import {utf8} from "./bytes.js";
import {Wrong} from "./language.js";

export const REASON_LIMIT = 123; // a close frame carries 125 bytes, two of them the code (RFC 6455 5.5.1)

/** The address as ws: or wss:, absolute. http: and https: count as their WebSocket kin; paths are of this host. */
export function checkUrl(typed, base) {
  const value = typed.trim();
  if (!value) throw new Wrong("urlEmpty", {}, "url");
  let url;
  try {
    url = new URL(value, base);
  } catch {
    throw new Wrong("urlBad", {what: value}, "url");
  }
  if (url.protocol === "http:") url.protocol = "ws:";
  if (url.protocol === "https:") url.protocol = "wss:";
  if (url.protocol !== "ws:" && url.protocol !== "wss:") throw new Wrong("urlScheme", {what: url.protocol}, "url");
  if (url.hash) throw new Wrong("urlHash", {what: url.hash}, "url");
  return url.href;
}

/** The names between the commas: tokens (RFC 9110 5.6.2), each once. */
export function checkProtocols(typed) {
  const names = typed.split(",").map((name) => name.trim()).filter(Boolean);
  const seen = new Set();
  for (const name of names) {
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) throw new Wrong("protocolBad", {what: name}, "protocols");
    if (seen.has(name)) throw new Wrong("protocolTwice", {what: name}, "protocols");
    seen.add(name);
  }
  return names;
}

/** The arguments of WebSocket.close(): [], [code] or [code, reason]. */
export function checkClose(code, reason) {
  const typed = code.trim();
  if (!typed && reason) throw new Wrong("reasonAlone", {}, "code");
  if (!typed) return [];
  const number = /^\d+$/.test(typed) ? Number(typed) : NaN;
  if (!(number === 1000 || (number >= 3000 && number <= 4999))) throw new Wrong("codeBad", {what: typed}, "code");
  const size = utf8(reason).length;
  if (size > REASON_LIMIT) throw new Wrong("reasonLong", {size, limit: REASON_LIMIT}, "reason");
  return reason ? [number, reason] : [number];
}

/** The text itself when it is JSON. */
export function checkJson(text) {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Wrong("jsonBad", {why: error.message}, "json");
  }
  return text;
}
