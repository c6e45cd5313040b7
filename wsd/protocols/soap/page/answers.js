// What the service has sent, the newest first.

import {copyText} from "/_wsd/clipboard.js";
import {language, say} from "/_wsd/language.js";
import {hexOf} from "./nbfx.js";
import {faultOf, find, parse, pretty} from "./xml.js";

const MOST = 50;
const COPIED = 2000; // milliseconds for which a button says that it has copied
const KINDS = {answer: "good", fault: "bad", pushed: "wait"};
const element = (id) => document.getElementById(id);

/**
 * Shows a message that came so many milliseconds after the request.
 *
 * `binary` has the root of a request, and the bytes `sent` and `received`, if they were in binary.
 */
export function show(text, time, binary = null) {
  const root = parse(text);
  const fault = faultOf(root, language());
  const isPushed = find(root, "MessageID") && !find(root, "RelatesTo");
  const kind = fault ? "fault" : isPushed ? "pushed" : "answer";
  const item = element("answer").content.cloneNode(true).firstElementChild;
  const at = (selector) => item.querySelector(selector);
  const name = find(root, "Body")?.firstElementChild?.localName;
  const write = () => {
    at("b").textContent = name && !fault ? say("labelled", {kind: say(kind), name}) : say(kind);
    at(".after").textContent = say("after", {time});
    at(".copy").textContent = say("copy");
    if (fault) at(".fault").replaceChildren(...faultRows(fault));
    if (binary) writeBytes(at(".bytes"), binary, text);
  };
  item.write = write;
  at("b").className = KINDS[kind];
  at(".fault").hidden = !fault;
  const shown = pretty(root);
  at("pre").textContent = shown;
  if (binary) item.append(element("bytes").content.cloneNode(true));
  at(".copy").addEventListener("click", () => copy(at(".copy"), shown));
  write();
  element("came").textContent = fault ? `${say(kind)}: ${fault.reason}` : at("b").textContent;
  element("messages").prepend(item);
  element("messages").scrollTop = 0;
  while (element("messages").children.length > MOST) element("messages").lastElementChild.remove();
  tellWhetherEmpty();
}

/** Shows both forms of a request and its answer: their bytes, and how many bytes the same is as text. */
function writeBytes(details, {root, sent, received}, text) {
  const size = (xml) => new TextEncoder().encode(xml).length;
  const texts = [
    say("bytes"),
    say("bytesSent", {bytes: sent.length, text: size(pretty(root))}),
    hexOf(sent),
    say("bytesReceived", {bytes: received.length, text: size(text)}),
    hexOf(received),
  ];
  [...details.children].forEach((child, index) => { child.textContent = texts[index]; });
}

export function clear() {
  element("messages").replaceChildren();
  tellWhetherEmpty();
}

function tellWhetherEmpty() {
  const isEmpty = !element("messages").children.length;
  element("none").hidden = !isEmpty;
  element("clear").hidden = isEmpty;
}

function faultRows({code, reason, detail}) {
  const rows = [[say("reason"), reason], [say("code"), code], ...detail];
  return rows.filter(([, text]) => text).flatMap(([name, text]) => [
    Object.assign(document.createElement("dt"), {textContent: name}),
    Object.assign(document.createElement("dd"), {textContent: text}),
  ]);
}

async function copy(button, text) {
  button.textContent = say(await copyText(text) ? "copied" : "cannotCopy");
  setTimeout(() => { button.textContent = say("copy"); }, COPIED);
}

document.addEventListener("language", () => {
  for (const item of element("messages").children) item.write();
});
