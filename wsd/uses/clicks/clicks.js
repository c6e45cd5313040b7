// The click stream: the page records what its visitor does, and sends it in batches that are acknowledged.

import {copyText} from "/_wsd/clipboard.js";
import {say} from "/_wsd/language.js";
import {Topics} from "/_wsd/wsd-topics.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {clamp} from "/uses/shared/geometry.js";
import {showNumbers} from "/uses/shared/numbers.js";
import {Outbox} from "/uses/shared/outbox.js";
import {tell} from "/uses/shared/wrong.js";
import {draw as drawWatch, watch} from "./watch.js";
import "./words.js";

const ROUTE = at("/uses/clicks/topics/");
const TOPIC = "sample";
const MOVES = 50; // ms between two moves that are recorded

const element = (id) => document.getElementById(id);
const topics = new Topics(ROUTE);
const outbox = new Outbox({topics, url: ROUTE, topic: TOPIC, onchange: draw, onlost: () => tell("lost")});
let isRecording = false;
let moved = 0; // when the last move was recorded

/** Records [kind, ms since 1970, part, x, y], where x and y are shares of the part's width and height. */
function record(kind, {target, clientX, clientY, detail}) {
  const part = target.closest("[data-part]");
  if (!isRecording || !part) return;
  // lesson: record
  const {left, top, width, height} = part.getBoundingClientRect();
  const isByKey = kind === "click" && detail === 0; // a click by the keyboard has no place
  const [x, y] = isByKey ? [0.5, 0.5] : [(clientX - left) / width, (clientY - top) / height];
  outbox.add([kind, Date.now(), part.dataset.part, round(x), round(y)]);
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
  outbox.add(["scroll", Date.now(), null, null, depth]);
});

function round(share) {
  return Math.round(clamp(share, 0, 1) * 1000) / 1000;
}

function draw() {
  const {added, acknowledged} = outbox;
  showNumbers({recorded: added, acknowledged, waiting: added - acknowledged});
}

// -- record or watch --------------------------------------------------------------------------------------------------

let watching = null; // since the mode was chosen for the first time

function choose(mode) {
  isRecording = mode === "record";
  document.body.classList.toggle("records", isRecording);
  document.body.classList.toggle("watches", !isRecording);
  element("sample").inert = !isRecording;
  element(`mode-${mode}`).checked = true;
  history.replaceState(null, "", isRecording ? location.pathname : "?watch");
  if (!isRecording) watching ??= watch(topics, ROUTE, TOPIC);
  if (watching) drawWatch();
}

for (const mode of ["record", "watch"]) element(`mode-${mode}`).addEventListener("change", () => choose(mode));
element("curl").textContent = `curl -H 'Accept: application/x-ndjson' ${ROUTE}${TOPIC}`;
element("copy").addEventListener("click", async () => {
  if (await copyText(element("curl").textContent)) element("copy").textContent = say("copied");
});
followTopics(topics);
document.addEventListener("language", draw);
choose(new URLSearchParams(location.search).has("watch") ? "watch" : "record");
