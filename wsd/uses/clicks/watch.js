// The window that watches: it reads what has been recorded, follows what is, counts it, and shows where it happened.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {Heat} from "/uses/shared/heat.js";
import {linesOf} from "/uses/shared/ndjson.js";
import {showNumbers} from "/uses/shared/numbers.js";
import {drawSparkline} from "/uses/shared/sparkline.js";
import {throttled} from "/uses/shared/throttle.js";

const WEIGHTS = {click: 6, move: 1};
const DRAWN = 250; // ms between two drawings
const HISTORY = 20_000; // batches that the topic keeps
const MINUTE = 60; // seconds of the sparkline

const element = (id) => document.getElementById(id);
const heat = new Heat();
const clicks = new Map(); // part to the number of clicks
const depths = new Map(); // visitor to how far they have scrolled
const visitors = new Set();
const rates = new Array(MINUTE).fill(0); // events in each of the last seconds, the newest at the end
let total = 0;
let second = 0; // events in this second

/** Begins to watch a topic. While the server is away, the subscription brings what the topic has kept. */
export async function watch(topics, route, topic) {
  setInterval(tick, 1000);
  new ResizeObserver(drawSoon).observe(element("sample"));
  document.addEventListener("language", draw);
  let since; // the position of the last line
  // lesson: history
  for (const {data, position} of await linesOf(`${route}${topic}`)) {
    take(data);
    since = position;
  }
  const onmessage = ({payload}) => (second += take(payload));
  topics.subscribe(topic, {since, history: HISTORY, onmessage});
  // end of lesson
}

/** Counts a batch. Returns the number of its events. */
function take({visitor, events}) {
  visitors.add(visitor);
  for (const [kind, , part, x, y] of events) {
    if (kind === "scroll") depths.set(visitor, Math.max(y, depths.get(visitor) ?? 0));
    else heat.add(part, x, y, WEIGHTS[kind]);
    if (kind === "click") clicks.set(part, (clicks.get(part) ?? 0) + 1);
  }
  total += events.length;
  drawSoon();
  return events.length;
}

function tick() {
  rates.push(second);
  rates.shift();
  second = 0;
  showNumbers({rate: rates.at(-1)});
  drawSparkline(element("spark"), rates, MINUTE, getComputedStyle(element("spark")).color, 0);
}

/** Draws all that is known. */
export function draw() {
  showNumbers({total, visitors: visitors.size});
  drawTop();
  drawDepth();
  heat.paint(element("heat"), element("sample"));
}

const drawSoon = throttled(draw, DRAWN);

function drawTop() {
  const parts = [...clicks].sort(([, one], [, other]) => other - one).slice(0, 5);
  const rows = parts.map(([part, count]) => {
    const words = say(count === 1 ? "click" : "clicks", {count: formatNumber(count)});
    return create("li", {}, create("span", {textContent: nameOf(part)}), create("span", {className: "quiet"}, words));
  });
  element("top").replaceChildren(...rows);
  element("none").hidden = rows.length > 0;
}

/** How many of those who scrolled have come how far. */
function drawDepth() {
  element("depth").replaceChildren(...[...depths.values()].slice(-100).map((depth) => {
    const mark = create("i");
    mark.style.setProperty("--depth", depth);
    mark.style.setProperty("--share", 1 / depths.size);
    return mark;
  }));
}

/** What is written on a part, in the visitor's language. */
function nameOf(part) {
  const place = document.querySelector(`#sample [data-part="${CSS.escape(part)}"]`);
  return place?.getAttribute("aria-label") ?? (place?.querySelector("p") ?? place)?.textContent.trim() ?? part;
}
