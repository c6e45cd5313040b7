// The log as data: rows of messages and events, limited in number and in bytes.

export const ROWS = 10_000;
export const BYTES = 64 * 1024 * 1024;

let next = 1;

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
 * values}. Ids grow, and are unique in the page.
 */
export class Ledger {
  rows = [];
  dropped = 0;
  #bytes = 0;

  /** Adds a row, with the present time unless it has one, and drops the oldest ones beyond the limits. */
  add(row) {
    this.rows.push({time: Date.now(), trip: null, ...row, id: next++});
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

/** Whether a row passes the filter {find, direction, opcode}; `find` is in lower case, `text` what is searched of the row. */
export function passes(row, filter, text) {
  if (filter.direction && row.direction !== filter.direction) return false;
  if (filter.opcode && row.opcode !== filter.opcode) return false;
  return !filter.find || text(row).toLowerCase().includes(filter.find);
}
