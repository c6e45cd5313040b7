// The heat map: reads what has been recorded, follows what is, and draws it over the page.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";

const CELLS = 20; // cells of a part, in each direction
const WEIGHTS = {click: 6, move: 1};
const REACH = 22; // pixels around an event that it warms
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
    this.#drawHeat();
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

  #drawHeat() {
    const canvas = element("heat");
    const place = element("sample").getBoundingClientRect();
    [canvas.width, canvas.height] = [Math.max(1, place.width), Math.max(1, place.height)];
    const most = Math.max(1, ...[...this.#heat.values()].map((cells) => Math.max(...cells)));
    const context = canvas.getContext("2d", {willReadFrequently: true});
    const blob = blobOf();
    for (const [part, cells] of this.#heat) {
      const box = document.querySelector(`#sample [data-part="${CSS.escape(part)}"]`)?.getBoundingClientRect();
      if (!box) continue;
      for (const [index, heat] of cells.entries()) {
        if (!heat) continue;
        const x = box.left - place.left + (((index % CELLS) + 0.5) / CELLS) * box.width;
        const y = box.top - place.top + ((Math.floor(index / CELLS) + 0.5) / CELLS) * box.height;
        context.globalAlpha = 0.12 + 0.88 * Math.sqrt(heat / most);
        context.drawImage(blob, x - REACH, y - REACH);
      }
    }
    colour(context, canvas.width, canvas.height);
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

/** A round blob, which is opaque in its middle. */
function blobOf() {
  const blob = new OffscreenCanvas(2 * REACH, 2 * REACH);
  const context = blob.getContext("2d");
  const gradient = context.createRadialGradient(REACH, REACH, 0, REACH, REACH, REACH);
  gradient.addColorStop(0, "rgb(0 0 0 / 0.7)");
  gradient.addColorStop(1, "rgb(0 0 0 / 0)");
  context.fillStyle = gradient;
  context.fillRect(0, 0, 2 * REACH, 2 * REACH);
  return blob;
}

/** Turns opacity into colours: blue is cold, red is hot. */
function colour(context, width, height) {
  const image = context.getImageData(0, 0, width, height);
  const {data} = image;
  for (let at = 0; at < data.length; at += 4) {
    const heat = data[at + 3] / 255;
    if (!heat) continue;
    data[at] = 255 * Math.min(1, Math.max(0, 2.4 * heat - 0.7));
    data[at + 1] = 255 * Math.min(1, Math.max(0, 1.15 - Math.abs(heat - 0.5) * 2.4));
    data[at + 2] = 255 * Math.min(1, Math.max(0, 1.3 - 3 * heat));
    data[at + 3] = 255 * Math.min(0.8, 0.15 + heat);
  }
  context.putImageData(image, 0, 0);
}
