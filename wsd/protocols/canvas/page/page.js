// The page of a canvas: what is painted here goes out part by part, and what others paint is shown.

import {addWords, joined, say} from "/_wsd/language.js";
import {rememberVisit} from "./visits.js";
import {History} from "./edits.js";
import {listen} from "./input.js";
import {Link} from "./link.js";
import {Painting} from "./painting.js";
import {listenForCopies, prepareShare} from "./share.js";
import {listenToTools, brush} from "./tools.js";
import {WORDS} from "./words.js";

const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const query = new URLSearchParams(location.search);
const name = decodeURIComponent(location.pathname.split("/").pop());

/** Texts that follow the language: the function of each element's. */
const texts = new Map();

function tell(id, words) {
  texts.set(id, words);
  element(id).textContent = words();
}

const size = () => `${canvas.width} × ${canvas.height}`;
const role = () => document.querySelector("input[name=role]:checked").value;

const link = new Link({
  state(state, reason, why) {
    element("people").hidden = true;
    if (state === "opening") painting.opening();
    if (state === "opening" && texts.has("state")) return; // what failed before is shown until it works again
    element("state").className = `state ${state}`;
    tell("state", () => why ? joined(say(why.key, why.values), say("retrying")) : say(state, {reason}));
  },
  frame(line, pixels) {
    painting.show(line, pixels);
    fit();
    tell("frame", () => say("shown", {number: line.frame, size: size()}));
  },
  receipt({frame, viewers}) {
    tell("frame", () => say(viewers ? "painted" : "shown", {number: frame, size: size(), viewers}));
  },
  watching(number) {
    painting.restore();
    element("people").hidden = false;
    tell("people", () => number === 1 ? say("alone") : say("people", {number}));
    if (painting.isBlank) tell("frame", () => say("empty"));
  },
}, () => ({width: canvas.width, height: canvas.height, role: role()}));
const history = new History();
const painting = new Painting(canvas, link, history);

/** Lets the picture fill the window: the style sheet needs its proportions. */
function fit() {
  element("paper").style.setProperty("--ratio", canvas.width / canvas.height);
}

function begin() {
  document.body.classList.toggle("painter", role() === "painter");
  document.body.classList.toggle("viewer", role() === "viewer");
  link.connect();
}

function save() {
  canvas.toBlob((blob) => {
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(blob);
    anchor.download = `${name}.png`;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
  });
}

addWords({en: {...WORDS.en, pageTitle: `${name} – wsd`}, zh: {...WORDS.zh, pageTitle: `${name} – wsd`}});
document.addEventListener("language", () => {
  for (const [id, words] of texts) element(id).textContent = words();
});
element("name").textContent = name;
canvas.width = Number(query.get("width")) || canvas.width;
canvas.height = Number(query.get("height")) || canvas.height;
fit();
element(query.get("role") === "viewer" ? "role-viewer" : "role-painter").checked = true;
for (const each of document.querySelectorAll("input[name=role]")) each.addEventListener("change", begin);
element("save").addEventListener("click", save);
for (const each of ["share", "keys"]) {
  element(each).addEventListener("click", () => element(`${each}-dialog`).showModal());
}
prepareShare(document.body.dataset.png === "true");
listenForCopies(say);
listenToTools(painting, history);
listen(painting, element("ring"), () => role() === "painter" ? brush() : null);
rememberVisit(name);
begin();
