// What a row of the log shows of its payload: one line, whatever it holds.

import {formatSize, hexLine} from "./bytes.js";
import {partsOf, readEnvelope} from "./envelopes.js";
import {bytesOf} from "./ledger.js";
import {has, joined, say} from "./language.js";
import {make} from "./make.js";
import {PICTURE_BYTES, picture} from "./picture.js";

const LINE = 240; // characters of a text in its row
const LINE_BYTES = 24; // bytes of a binary message in its row
const RED = new Set(["eventError", "eventRefused", "eventRepliesSpent"]);

/** What a close code is called. */
export function codeName(code) {
  return say(has(`code${code}`) ? `code${code}` : "codeOther");
}

/** Whether an event is a failure. */
export function isFailure({key}) {
  return RED.has(key) || key.startsWith("why.");
}

/** The sentence of an event. */
export function sentence({key, values}) {
  const filled = {...values};
  if ("code" in filled) filled.name = codeName(filled.code);
  if (key === "eventOpen") {
    filled.protocol ||= say("none");
    filled.extensions ||= say("none");
  }
  if (filled.command) return joined(say(key, filled), filled.command);
  if (filled.seconds === undefined || !key.startsWith("eventClosed")) return say(key, filled);
  filled.sentSize = formatSize(filled.sentBytes);
  filled.receivedSize = formatSize(filled.receivedBytes);
  return joined(say(key, filled), say("sums", filled));
}

/** The beginning of a text on one line; line breaks are shown as ↵. */
function oneLine(text) {
  return text.slice(0, LINE).replace(/\r\n|[\n\r\u2028\u2029]/g, "↵");
}

/** Reads the line of a binary message into row.line: a Blob gives its bytes only later. */
export async function readLine(row) {
  const {payload, size} = row;
  const name = payload instanceof File ? `${payload.name}  ` : "";
  try {
    row.line = name + hexLine(await bytesOf(payload, LINE_BYTES)) + (size > LINE_BYTES ? " …" : "");
  } catch (error) {
    row.line = say("unreadable", {why: error.message});
  }
}

/** The text of a row that the filter searches. */
export function searched(row) {
  if (row.direction === "event") return sentence(row);
  return row.opcode === "text" ? row.payload : row.line ?? "";
}

/** Shows the payload of a row in an element. */
export function showPreview(row, element) {
  if (row.direction === "event") element.textContent = sentence(row);
  else if (row.opcode === "text") showText(row, element);
  else showBinary(row, element);
}

function showText(row, element) {
  const envelope = readEnvelope(row);
  if (!envelope) {
    element.textContent = oneLine(row.payload);
    return;
  }
  const {name, topic, payload, rest} = partsOf(envelope);
  const parts = [
    make("b", `envelope ${name === "error" ? "failed" : ""}`, name), topic && make("span", "topic", topic),
    payload && oneLine(payload), rest && make("span", "rest", oneLine(rest)),
  ].filter(Boolean);
  element.replaceChildren(...parts.flatMap((part, at) => (at ? ["  ", part] : [part])));
}

function showBinary(row, element) {
  const {topic, type} = row.announced ?? {};
  const announced = row.announced ? [make("span", "topic", [topic, type].filter(Boolean).join("  ")), "  "] : [];
  const show = () => element.replaceChildren(...announced, row.line);
  if (row.size === PICTURE_BYTES) showPicture(row, element).catch(() => readLine(row).then(show));
  else if (row.line !== undefined) show();
  else readLine(row).then(show);
}

/** A thumbnail as high as the row. */
async function showPicture(row, element) {
  const thumbnail = picture(await bytesOf(row.payload));
  thumbnail.className = "thumbnail";
  thumbnail.setAttribute("role", "img");
  thumbnail.setAttribute("aria-label", say("picture"));
  element.replaceChildren(thumbnail, row.payload instanceof File ? row.payload.name : "");
}
