// The click stream: the page records what its visitor does, and sends it in batches that are acknowledged.

import {copyText} from "/_wsd/clipboard.js";
import {formatNumber, say} from "/_wsd/language.js";
import {Topics} from "/_wsd/wsd-topics.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {tell} from "/uses/shared/wrong.js";
import {HeatMap} from "./heat.js";
import "./words.js";

const ROUTE = at("/uses/clicks/topics/");
const TOPIC = "sample";
const EVERY = 250; // ms between two batches
const MOVES = 50; // ms between two moves that are recorded

const element = (id) => document.getElementById(id);
const topics = new Topics(ROUTE);
const counts = {recorded: 0, acknowledged: 0};
let isRecording = false;

const visitor = String(Math.floor(Math.random() * 1e12));
let recorded = []; // [kind, milliseconds since 1970, part, x, y]: x and y are shares of the part's width and height
let moved = 0; // when the last move was recorded

function record(kind, {target, clientX, clientY, detail}) {
  const part = target.closest("[data-part]");
  if (!isRecording || !part) return;
  // lesson: record
  const {left, top, width, height} = part.getBoundingClientRect();
  const isByKey = kind === "click" && detail === 0; // a click by the keyboard has no place
  const [x, y] = isByKey ? [0.5, 0.5] : [(clientX - left) / width, (clientY - top) / height];
  keep([kind, Date.now(), part.dataset.part, round(x), round(y)]);
  // end of lesson
}

element("sample").addEventListener("click", (event) => record("click", event));
element("sample").addEventListener("pointermove", (event) => {
  if (event.timeStamp - moved < MOVES) return;
  moved = event.timeStamp;
  record("move", event);
});

let deepest = 0;
element("scroller").addEventListener("scroll", () => {
  const {scrollTop, clientHeight, scrollHeight} = element("scroller");
  const depth = round((scrollTop + clientHeight) / scrollHeight);
  if (!isRecording || depth <= deepest) return;
  deepest = depth;
  keep(["scroll", Date.now(), null, null, depth]);
});

function round(share) {
  return Math.round(Math.min(1, Math.max(0, share)) * 1000) / 1000;
}

function keep(event) {
  recorded.push(event);
  counts.recorded += 1;
  draw();
}

let number = 0; // of the last batch

// lesson: send
const waiting = new Map(); // batches that are not acknowledged yet, by their keys

function nextBatch() {
  const batch = {visitor, number: ++number, events: recorded};
  const once = `${visitor}/${number}`;
  recorded = [];
  waiting.set(once, batch);
  return [once, batch];
}

async function send() {
  if (!recorded.length) return;
  const [once, batch] = nextBatch();
  try {
    await topics.publish(TOPIC, batch, {once});
    counts.acknowledged += batch.events.length;
  } catch {
    tell("lost");
  }
  waiting.delete(once);
  draw();
}
// end of lesson

setInterval(send, EVERY);

// lesson: beacon
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "hidden") return;
  if (recorded.length) nextBatch();
  for (const [once, batch] of waiting) {
    const body = new Blob([JSON.stringify(batch)], {type: "application/json"});
    navigator.sendBeacon(`${ROUTE}${TOPIC}?once=${encodeURIComponent(once)}`, body);
  }
});
// end of lesson

function draw() {
  element("recorded").textContent = formatNumber(counts.recorded);
  element("acknowledged").textContent = formatNumber(counts.acknowledged);
  element("waiting").textContent = formatNumber(counts.recorded - counts.acknowledged);
}

// -- record or watch ---------------------------------------------------------------------------------------------------

let heatMap = null;

function choose(mode) {
  isRecording = mode === "record";
  document.body.classList.toggle("records", isRecording);
  document.body.classList.toggle("watches", !isRecording);
  element("sample").inert = !isRecording;
  element(`mode-${mode}`).checked = true;
  history.replaceState(null, "", isRecording ? location.pathname : "?watch");
  if (!isRecording) heatMap ??= new HeatMap(topics, ROUTE, TOPIC);
  heatMap?.draw();
}

for (const mode of ["record", "watch"]) element(`mode-${mode}`).addEventListener("change", () => choose(mode));
element("curl").textContent = `curl -H 'Accept: application/x-ndjson' ${ROUTE}${TOPIC}`;
element("copy").addEventListener("click", async () => {
  if (await copyText(element("curl").textContent)) element("copy").textContent = say("copied");
});
followTopics(topics);
document.addEventListener("language", draw);
choose(new URLSearchParams(location.search).has("watch") ? "watch" : "record");
