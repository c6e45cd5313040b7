// What is told to those who listen to the page rather than look at it.

import {say} from "./language.js";

const PAUSE = 3_000; // ms between announcements of messages: a stream of them must not talk without end
const LONGEST = 120; // characters of a message that are read out

const element = (id) => document.getElementById(id);

/** Tells a sentence now. */
export function announce(text) {
  element("live").textContent = text;
}

let count = 0;
let last = "";
let timer = null;

/** Tells that a message was received: alone if it is the only one of the last seconds, else how many there were. */
export function announceMessage({opcode, payload, size}) {
  count += 1;
  last = opcode === "text" ? payload.slice(0, LONGEST) : say("heardBytes", {size});
  if (timer === null) tell();
}

function tell() {
  element("heard").textContent = say(count === 1 ? "heard" : "heardMany", {count, last});
  count = 0;
  timer = setTimeout(() => {
    timer = null;
    if (count) tell();
  }, PAUSE);
}
