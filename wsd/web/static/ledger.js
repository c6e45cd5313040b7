// The log as data: rows of messages and events, bounded in number and in bytes, and written out as JSON lines.

import {base64} from "./bytes.js";

export const ROWS = 1_000;
export const BYTES = 64 * 1024 * 1024;

/** The bytes of a payload, or of its first `most`. */
export async function bytesOf(payload, most = Infinity) {
  if (typeof payload === "string") {
    // Characters take a byte or more each, so the first `most` of them hold all the bytes asked for.
    return new TextEncoder().encode(payload.slice(0, most)).subarray(0, most);
  }
  if (payload instanceof Blob) return new Uint8Array(await payload.slice(0, Math.min(most, payload.size)).arrayBuffer());
  return new Uint8Array(payload, 0, Math.min(most, payload.byteLength));
}

/**
 * Rows {id, time (ms since 1970), direction, opcode, size, payload, trip, protocol} or {id, time, direction: "event", key,
 * values}.
 */
export class Ledger {
  rows = [];
  dropped = 0;
  #bytes = 0;
  #next = 1;

  add(row) {
    this.rows.push({...row, id: this.#next++, time: Date.now()});
    this.#bytes += row.size ?? 0;
    while (this.rows.length > ROWS || (this.#bytes > BYTES && this.rows.length > 1)) {
      this.#bytes -= this.rows.shift().size ?? 0;
      this.dropped += 1;
    }
  }

  clear() {
    this.rows = [];
    this.dropped = 0;
    this.#bytes = 0;
  }
}

/** Whether a row passes the filter {find, direction, opcode}; `text` is what the row shows of itself. */
export function passes(row, filter, text) {
  if (filter.direction && row.direction !== filter.direction) return false;
  if (filter.opcode && row.opcode !== filter.opcode) return false;
  return !filter.find || text.toLowerCase().includes(filter.find.toLowerCase());
}

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
  for (const {time, direction, opcode, size, payload, trip, key, values} of rows) {
    const line = {time: new Date(time).toISOString(), direction};
    if (direction === "event") {
      Object.assign(line, {event: key.replace(/^event/, "").toLowerCase(), ...values});
    } else {
      Object.assign(line, {opcode, size});
      if (trip !== null) line.roundTripMs = Number(trip.toFixed(3));
      if (payload instanceof File) line.file = payload.name;
      if (opcode === "text") line.text = payload;
      else Object.assign(line, await encoded(payload));
    }
    lines.push(`${JSON.stringify(line)}\n`);
  }
  return lines;
}
