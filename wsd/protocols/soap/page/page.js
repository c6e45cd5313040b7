// The page of a service: choose an operation, edit its sample, send it over a WebSocket, and see what comes back.

import {copyText} from "/_wsd/clipboard.js";
import {addWords, say} from "/_wsd/language.js";
import {clear, show} from "./answers.js";
import {choose, listOperations, sampleOf, translateOperations} from "./operations.js";
import {curlOf, sendBinary, ServiceConnection} from "./service.js";
import {WORDS} from "./words.js";
import {parse} from "./xml.js";

const {route} = document.body.dataset;
const element = (id) => document.getElementById(id);
const COPIED = 2000; // milliseconds for which a button says that it has copied

let began = 0;
let state = null; // the key of the sentence above the answers, and its values
let isWrong = false;
let chosen = null;

const connection = new ServiceConnection(route, {
  message(text) {
    tell(null);
    show(text, Math.round(performance.now() - began));
  },
  ended(reason, wasOpen, why) {
    if (why) tell([why.key, why.values], true);
    else tell(reason ? ["closed", {reason}] : [wasOpen ? "lost" : "refused"], true);
  },
});

function tell(sentence, wrong = false) {
  [state, isWrong] = [sentence, wrong];
  element("state").textContent = state ? say(...state) : "";
  element("state").classList.toggle("bad", isWrong);
}

function send() {
  if (element("encoding").value === "binary") sendInBinary();
  else sendAsText();
}

async function sendInBinary() {
  const root = parse(element("envelope").value);
  if (root.querySelector("parsererror")) {
    tell(["notXml"], true);
    return;
  }
  began = performance.now();
  tell(["waiting"]);
  try {
    const {text, ...bytes} = await sendBinary(route, root);
    tell(text ? null : ["sentOneway"]);
    if (text) show(text, Math.round(performance.now() - began), {...bytes, root});
  } catch (error) {
    // A TypeError is the browser's own: the request never arrived.
    tell(error instanceof TypeError ? ["refused"] : ["failed", {reason: error.message}], true);
  }
}

function sendAsText() {
  if (!connection.isOpen) tell(["connecting"]);
  connection.send(element("envelope").value, () => {
    began = performance.now();
    tell([chosen.dataset.kind === "oneway" ? "sentOneway" : "waiting"]);
  });
}

/** Shows an operation, and its sample in the form. */
function open(operation) {
  chosen = operation;
  const isPushed = operation.dataset.kind === "push";
  element("form").hidden = isPushed;
  element("pushed").hidden = !isPushed;
  reset();
}

function reset() {
  element("envelope").value = sampleOf(chosen);
  element("envelope").scrollTop = 0;
}

async function copyCurl() {
  const isCopied = await copyText(curlOf(route, element("envelope").value));
  element("curl").textContent = say(isCopied ? "copied" : "cannotCopy");
  setTimeout(() => { element("curl").textContent = say("curl"); }, COPIED);
}

addWords(WORDS);
document.addEventListener("language", () => {
  translateOperations();
  tell(state, isWrong);
});
element("send").addEventListener("click", send);
element("reset").addEventListener("click", reset);
element("curl").addEventListener("click", copyCurl);
element("clear").addEventListener("click", clear);
element("envelope").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
});
listOperations(open);
translateOperations();
choose(decodeURIComponent(location.hash.slice(1)));
