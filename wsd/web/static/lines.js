// A log as JSON lines: written by Export, and read by Import, which also reads the WebSockets of a HAR.

import {base64, formatSize, fromBase64, utf8} from "./bytes.js";
import {has, Wrong} from "./language.js";
import {bytesOf} from "./ledger.js";

const LARGEST = 256 * 1024 * 1024; // bytes of a file that is imported

const EVENTS = [
  "eventConnecting", "eventConnectingAs", "eventOpen", "eventError", "eventClosing", "eventClosed", "eventClosedReason",
  "eventWaiting", "eventStopped", "eventKept", "eventNotKept", "eventAbandoned", "eventRepliesSpent",
  "eventRefused", "why.refused", "why.ended", "why.unreachable", "why.elsewhere",
];
const nameOf = (key) => key.replace(/^event/, "").toLowerCase();
const KEYS = new Map(EVENTS.map((key) => [nameOf(key), key]));

/** The payload as base64, or why the browser could not read it: a file sent may be gone from the disk by now. */
async function encoded(payload) {
  try {
    return {base64: base64(await bytesOf(payload))};
  } catch (error) {
    return {unreadable: error.message};
  }
}

/** The rows as JSON lines: a text as "text", bytes as "base64", an event by its name and values. */
export async function jsonLines(rows) {
  const lines = [];
  for (const {time, direction, opcode, size, payload, trip, protocol, key, values} of rows) {
    const line = {time: new Date(time).toISOString(), direction};
    if (direction === "event") {
      Object.assign(line, {event: nameOf(key), ...values});
    } else {
      Object.assign(line, {opcode, size});
      if (protocol) line.protocol = protocol;
      if (trip !== null) line.roundTripMs = Number(trip.toFixed(3));
      if (payload instanceof File) line.file = payload.name;
      if (opcode === "text") line.text = payload;
      else Object.assign(line, await encoded(payload));
    }
    lines.push(`${JSON.stringify(line)}\n`);
  }
  return lines;
}

/** The row of a line. Throws what shows that it is none. */
function rowOf({time, direction, ...fields}) {
  const at = {time: Date.parse(time), direction};
  if (Number.isNaN(at.time)) throw new TypeError("a line without a time");
  if (direction === "event") {
    const {event, ...values} = fields;
    const key = KEYS.get(event);
    if (!key || !has(key)) throw new TypeError("an unknown event");
    return {...at, key, values};
  }
  if (direction !== "sent" && direction !== "received") throw new TypeError("a line without a direction");
  const {opcode, protocol = "", roundTripMs: trip = null} = fields;
  const payload = opcode === "text" ? String(fields.text) : fromBase64(fields.base64 ?? "").buffer;
  const size = opcode === "text" ? utf8(payload).length : payload.byteLength;
  return {...at, opcode: opcode === "text" ? "text" : "binary", payload, size, protocol, trip};
}

/** A WebSocket of a HAR, as Chrome saves it: its URL, the subprotocol and its messages. */
function harRecord({request, response, startedDateTime, _webSocketMessages: messages}) {
  const header = (message) => (message?.headers ?? []).find(({name}) => name.toLowerCase() === "sec-websocket-protocol");
  const protocol = header(response)?.value ?? "";
  const rows = messages.map(({type, time, opcode, data}) => {
    const payload = opcode === 2 ? fromBase64(data).buffer : String(data);
    return {
      time: time * 1000, direction: type === "send" ? "sent" : "received", opcode: opcode === 2 ? "binary" : "text",
      payload, size: opcode === 2 ? payload.byteLength : utf8(payload).length, protocol, trip: null,
    };
  });
  const started = Date.parse(startedDateTime);
  const url = new URL(request.url).href.replace(/^http/, "ws");
  if (!Number.isNaN(started)) rows.unshift({time: started, direction: "event", key: "eventConnecting", values: {url}});
  return {url, protocols: header(request)?.value ?? protocol, rows};
}

/** Reads what Import was given: a promise of records [{url, protocols, rows}]. Throws a Wrong if there is none. */
export async function readRecords(file) {
  if (file.size > LARGEST) {
    throw new Wrong("importLarge", {name: file.name, size: formatSize(file.size), limit: formatSize(LARGEST)});
  }
  const text = await file.text();
  let records;
  try {
    const har = text.trimStart().startsWith("{") && text.includes('"_webSocketMessages"') ? JSON.parse(text).log : null;
    if (har) records = har.entries.filter((entry) => entry._webSocketMessages?.length).map(harRecord);
    else records = [linesRecord(text)];
  } catch {
    throw new Wrong("importBad", {name: file.name});
  }
  records = records.filter(({rows}) => rows.length);
  if (!records.length) throw new Wrong("importEmpty", {name: file.name});
  return records;
}

function linesRecord(text) {
  const rows = text.split("\n").filter((line) => line.trim()).map((line) => rowOf(JSON.parse(line)));
  const asked = rows.findLast(({key}) => key === "eventConnecting" || key === "eventConnectingAs")?.values;
  return {url: asked?.url ?? "", protocols: asked?.protocols ?? "", rows};
}
