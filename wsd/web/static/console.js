// The console of wsd: wires the fields to a WebSocket and the WebSocket to the log. No framework, no request of its own.

import {checkClose, checkProtocols, checkUrl, REASON_LIMIT} from "./checks.js";
import {Composer} from "./compose.js";
import {TOPICS} from "./envelopes.js";
import {Facts} from "./facts.js";
import {say, translate, Wrong} from "./language.js";
import {Log} from "./log.js";
import {recall, remember} from "./memory.js";
import {sentence} from "./row.js";
import {utf8} from "./bytes.js";
import {Wire} from "./wire.js";
import "./words.js";

const element = (id) => document.getElementById(id);
const NAMES = ["0 CONNECTING", "1 OPEN", "2 CLOSING", "3 CLOSED"];
const home = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
const PRESETS = [
  ["/echo", "presetPlain"],
  ["/echo?delay=500", "presetDelay"],
  ["/echo?push=1000", "presetPush"],
  ["/echo?close=4000&reason=enough", "presetClose"],
  ["/echo?abrupt", "presetAbrupt"],
  ["/echo?fragment=16", "presetFragment"],
  ["/echo?repeat=3", "presetRepeat"],
  ["/echo?size=65536", "presetSize"],
  ["/echo?nodeflate", "presetNodeflate"],
  ["/ws", "presetWs"],
  ["/describe", "presetDescribe"],
  ["/blob", "presetBlob"],
];

const wire = new Wire();
const log = new Log();
const facts = new Facts();

/** Tells those who listen to the page rather than look at it. */
function announce(text) {
  element("live").textContent = text;
}

/** Runs what may throw a Wrong; then shows its sentence at `id`, marks which of the fields it is about, and goes there. */
function checked(id, fields, run) {
  let wrong = null;
  try {
    run();
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    wrong = error;
  }
  const text = wrong ? say(wrong.key, wrong.values) : "";
  element(id).hidden = !wrong;
  element(id).textContent = text;
  for (const field of fields) element(field).setAttribute("aria-invalid", String(wrong?.field === field));
  if (wrong) {
    announce(text);
    element(wrong.field).focus();
  }
  return !wrong;
}

function connect() {
  let url, protocols;
  const good = checked("url-wrong", ["url"], () => {
    url = checkUrl(element("url").value, location.href);
  }) && checked("protocols-wrong", ["protocols"], () => {
    protocols = checkProtocols(element("protocols").value);
  });
  if (!good) return;
  checked("url-wrong", ["url"], () => {
    try {
      wire.connect(url, protocols);
    } catch (error) {
      throw new Wrong("urlRefused", {why: error.message}, "url");
    }
  });
}

function close() {
  checked("close-wrong", ["code", "reason"], () => {
    const waiting = wire.due !== null; // there is no connection then, only a try to call off
    wire.close(waiting ? [] : checkClose(element("code").value, element("reason").value));
  });
}

/** What follows the state of the connection: the facts, the two buttons, the countdown. */
function draw() {
  facts.draw(wire);
  const waiting = wire.due !== null;
  element("connect").setAttribute("aria-disabled", String(!wire.idle));
  element("connect").textContent = say(waiting ? "connectNow" : "connect");
  element("close").setAttribute("aria-disabled", String(!waiting && (wire.idle || wire.state === WebSocket.CLOSING)));
  element("close").textContent = say(waiting ? "stopTrying" : "close");
  element("template").hidden = wire.state !== WebSocket.OPEN || wire.socket.protocol !== TOPICS;
  element("countdown").hidden = !waiting;
  if (waiting) {
    const seconds = Math.max(0, (wire.due - performance.now()) / 1000).toFixed(1);
    element("countdown").textContent = say("countdown", {seconds, attempt: wire.attempt});
  }
}

let drawing = false;

/** Draws at the next frame: messages may come by the thousand. */
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function drawReasonLeft() {
  element("reason-left").textContent = say("reasonLeft", {left: REASON_LIMIT - utf8(element("reason").value).length});
}

function drawWords() {
  element("presets").replaceChildren(...PRESETS.map(([path, key]) => Object.assign(document.createElement("option"), {
    value: home + path, label: say(key),
  })));
  drawReasonLeft();
  draw();
}

/** The address that the page was opened with, `#ws://...` or `?url=...`, only ever as the value of the field. */
function startUrl() {
  const asked = new URLSearchParams(location.search).get("url");
  if (asked) return asked;
  const named = location.hash.slice(1);
  if (!/^(\w+:|\/)/.test(named)) return ""; // a place on the page, such as #log
  try {
    return decodeURIComponent(named);
  } catch {
    return named; // a stray % that is no escape
  }
}

function onSubmit(id, act) {
  element(id).addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.getAttribute("aria-disabled") !== "true") act();
  });
}

wire.addEventListener("state", draw);
wire.addEventListener("message", ({detail}) => {
  log.add(detail);
  drawSoon();
});
wire.addEventListener("event", ({detail}) => {
  log.add({direction: "event", ...detail});
  const state = wire.state === null ? "" : say("live", {state: NAMES[wire.state]});
  announce(`${state} ${sentence(detail)}`);
});

/** What has happened beside the connection. */
function tell(event) {
  log.add({direction: "event", ...event});
  announce(sentence(event));
}

onSubmit("connect-form", connect);
onSubmit("close-form", close);
element("reason").addEventListener("input", drawReasonLeft);
for (const radio of document.querySelectorAll("[name=binary-type]")) {
  radio.addEventListener("change", () => wire.setBinaryType(radio.value));
}
element("again").addEventListener("change", ({target}) => {
  wire.reconnect(target.checked);
  remember("again", target.checked ? "yes" : "no");
});
element("again").checked = recall("again") === "yes";
wire.reconnect(element("again").checked);
wire.setBinaryType(document.querySelector("[name=binary-type]:checked").value);

element("url").value = startUrl() || `${home}/echo`;
element("place").value = `${home}/blob`;
new Composer((payload) => wire.send(payload), announce, tell);
document.addEventListener("language", drawWords);
translate();
