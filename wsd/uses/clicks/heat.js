// The heat map: reads what has been recorded, follows what is, and counts it.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {paintHeat} from "./paint.js";

const CELLS = 20; // cells of a part, in each direction
const WEIGHTS = {click: 6, move: 1};
const DRAWN = 250; // ms between two drawings
const HISTORY = 20_000; // batches that the topic keeps
const MINUTE = 60; // seconds of the sparkline

const element = (id) => document.getElementById(id);

/** What has been recorded in the topic. */
export class HeatMap {
  #heat = new Map(); // part to its cells
  #clicks = new Map(); // part to the number of clicks
  #depths = new Map(); // visitor to how far they have scrolled
  #visitors = new Set();
  #total = 0;
  #rates = new Array(MINUTE).fill(0); // events in each of the last seconds, the newest at the end
  #second = 0; // events in this second
  #timer = null;

  constructor(topics, route, topic) {
    new ResizeObserver(() => this.#drawSoon()).observe(element("sample"));
    setInterval(() => this.#tick(), 1000);
    document.addEventListener("language", () => this.draw());
    this.#read(topics, route, topic);
  }

  async #read(topics, route, topic) {
    let since; // the position of the last line
    // lesson: history
    for (const {data, position} of await linesOf(`${route}${topic}`)) {
      this.#take(data);
      since = position;
    }
    const onmessage = ({payload}) => (this.#second += this.#take(payload));
    topics.subscribe(topic, {since, history: HISTORY, onmessage});
    // end of lesson
  }

  /** Counts a batch. Returns the number of its events. */
  #take({visitor, events}) {
    this.#visitors.add(visitor);
    for (const [kind, , part, x, y] of events) {
      if (kind === "scroll") this.#depths.set(visitor, Math.max(y, this.#depths.get(visitor) ?? 0));
      else this.#warm(part, x, y, WEIGHTS[kind]);
      if (kind === "click") this.#clicks.set(part, (this.#clicks.get(part) ?? 0) + 1);
    }
    this.#total += events.length;
    this.#drawSoon();
    return events.length;
  }

  /** Adds to one of the 20 by 20 cells of a part, so that the memory stays the same however many events come. */
  #warm(part, x, y, weight) {
    if (!this.#heat.has(part)) this.#heat.set(part, new Float32Array(CELLS * CELLS));
    const [column, row] = [x, y].map((share) => Math.min(CELLS - 1, Math.floor(share * CELLS)));
    this.#heat.get(part)[row * CELLS + column] += weight;
  }

  #tick() {
    this.#rates = [...this.#rates.slice(1), this.#second];
    this.#second = 0;
    element("rate").textContent = formatNumber(this.#rates.at(-1));
    const most = Math.max(1, ...this.#rates);
    const points = this.#rates.map((rate, index) => `${index + 0.5},${19 - (18 * rate) / most}`);
    document.querySelector("#spark polyline").setAttribute("points", points.join(" "));
  }

  #drawSoon() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.draw();
    }, DRAWN);
  }

  /** Draws all that is known. */
  draw() {
    element("total").textContent = formatNumber(this.#total);
    element("visitors").textContent = formatNumber(this.#visitors.size);
    this.#drawTop();
    this.#drawDepth();
    paintHeat(element("heat"), element("sample"), this.#heat, CELLS);
  }

  #drawTop() {
    const parts = [...this.#clicks].sort(([, one], [, other]) => other - one).slice(0, 5);
    const rows = parts.map(([part, count]) => create("li", {},
      create("span", {textContent: nameOf(part)}),
      create("span", {className: "quiet", textContent: say(count === 1 ? "click" : "clicks", {count: formatNumber(count)})})));
    element("top").replaceChildren(...rows, ...(rows.length ? [] : [create("li", {className: "quiet"}, say("none"))]));
  }

  /** How many of those who scrolled have come how far. */
  #drawDepth() {
    const depths = [...this.#depths.values()].sort();
    element("depth").replaceChildren(...depths.map((depth) => {
      const mark = create("i");
      mark.style.setProperty("--depth", depth);
      mark.style.setProperty("--share", 1 / depths.length);
      return mark;
    }).slice(-100));
  }
}

/** What the topic has kept; nothing while the server is away, since the subscription brings it then. */
// lesson: lines
async function linesOf(url) {
  const answer = await fetch(url, {headers: {Accept: "application/x-ndjson"}}).catch(() => null);
  const text = answer?.ok ? await answer.text().catch(() => "") : "";
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}
// end of lesson

/** What is written on a part, in the visitor's language. */
function nameOf(part) {
  const place = document.querySelector(`#sample [data-part="${CSS.escape(part)}"]`);
  return place?.getAttribute("aria-label") ?? place?.querySelector("p")?.textContent ?? place?.textContent.trim() ?? part;
}
