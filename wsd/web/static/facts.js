// What the browser says of the connection: its state, its choices, its counts, and how it ended.

import {formatSize} from "./bytes.js";
import {formatNumber, say} from "./language.js";
import {codeName} from "./preview.js";

const element = (id) => document.getElementById(id);
const put = (id, text) => {
  // Only what changed is written: the page looks ten times a second, and a selection should survive it.
  if (element(id).textContent !== text) element(id).textContent = text;
};

const BAR = 1024 * 1024; // bytes that fill the bar, until more than that has been waiting

export class Facts {
  #peak = BAR;

  draw(wire) {
    this.#state(wire.state);
    const open = wire.socket && wire.state >= WebSocket.OPEN;
    put("fact-protocol", open ? wire.socket.protocol || say("none") : "–");
    put("fact-extensions", open ? wire.socket.extensions || say("none") : "–");
    this.#trips(wire.echoes);
    put("fact-sent", formatNumber(wire.sent.count));
    put("fact-sent-bytes", `· ${formatSize(wire.sent.bytes)}`);
    put("fact-received", formatNumber(wire.received.count));
    put("fact-received-bytes", `· ${formatSize(wire.received.bytes)}`);
    this.#buffered(wire.socket?.bufferedAmount ?? 0);
    this.#closed(wire.closed);
  }

  #state(state) {
    for (const item of document.querySelectorAll("#states li")) {
      const here = Number(item.dataset.state) === state;
      if (here) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    document.body.dataset.state = state ?? "none";
  }

  #trips(echoes) {
    const summary = echoes.summary();
    put("fact-trip", summary ? `${echoes.last.toFixed(1)} ms` : "–");
    put("fact-trips", summary && summary.count > 1 ? say("trips", {
      low: summary.low.toFixed(1), high: summary.high.toFixed(1), count: formatNumber(summary.count),
    }) : "");
  }

  #buffered(amount) {
    const bar = element("buffered");
    // The bar is full at the highest amount since the buffer was last empty.
    this.#peak = amount ? Math.max(this.#peak, amount) : BAR;
    bar.max = this.#peak;
    bar.value = amount;
    put("fact-buffered", amount < 1024 ? formatSize(amount) : `${formatSize(amount)} / ${formatSize(this.#peak)}`);
  }

  #closed(closed) {
    put("fact-code", closed ? `${closed.code} ${codeName(closed.code)}` : "–");
    put("fact-reason", closed?.reason ?? "");
    put("fact-clean", closed ? say("wasClean", closed) : "");
  }
}
