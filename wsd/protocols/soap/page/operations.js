// The operations of the service: the list at the side, and on a narrow screen a select.

import {language, say} from "/_wsd/language.js";

const MANY = 8; // operations from which on they can be filtered
const element = (id) => document.getElementById(id);
const operations = [...document.querySelectorAll(".operation")];

/** Fills the list. `open(operation)` is called with the one that is chosen. */
export function listOperations(open) {
  element("names").replaceChildren(...operations.map(buttonOf));
  element("operation").replaceChildren(...operations.map(({id}) => new Option(id, id)));
  element("operation").addEventListener("change", ({target}) => choose(target.value));
  element("filter").hidden = operations.length < MANY;
  element("filter").addEventListener("input", ({target}) => filter(target.value.trim().toLowerCase()));
  window.addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
  opened = open;
}

let opened = () => {};

/** Shows the operation of this name; the first one if there is none. */
export function choose(name) {
  const operation = operations.find(({id}) => id === name) ?? operations[0];
  if (!operation) return;
  for (const each of operations) each.hidden = each !== operation;
  for (const button of element("names").querySelectorAll("button")) {
    if (button.dataset.operation === operation.id) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  element("operation").value = operation.id;
  if (name) history.replaceState(null, "", `#${encodeURIComponent(operation.id)}`);
  opened(operation);
}

/** The sample of an operation, with a new MessageID. */
export function sampleOf(operation) {
  const text = operation.querySelector(".sample")?.textContent ?? "";
  return text.replace(/urn:uuid:[0-9a-f-]+/, `urn:uuid:${uuid()}`);
}

/** A random UUID (RFC 9562 5.4). Pages over plain http from another machine have no crypto.randomUUID. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Puts what the contract says into the current language, where it has that. */
export function translateOperations() {
  for (const each of document.querySelectorAll(".about")) {
    each.textContent = each.dataset[language()] ?? each.dataset.text;
  }
  for (const kind of element("names").querySelectorAll(".kind")) kind.textContent = say(kind.dataset.kind);
  for (const option of element("operation").options) {
    const {dataset} = operations.find(({id}) => id === option.value);
    option.textContent = dataset.kind === "call" ? option.value : `${option.value} (${say(dataset.kind)})`;
  }
}

function buttonOf(operation) {
  const name = Object.assign(document.createElement("span"), {className: "name", textContent: operation.id});
  const button = Object.assign(document.createElement("button"), {type: "button"});
  button.dataset.operation = operation.id;
  button.append(name);
  if (operation.dataset.kind !== "call") {
    const kind = Object.assign(document.createElement("span"), {className: "kind"});
    kind.dataset.kind = operation.dataset.kind;
    button.append(kind);
  }
  button.addEventListener("click", () => choose(operation.id));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function filter(text) {
  for (const item of element("names").children) item.hidden = !item.textContent.toLowerCase().includes(text);
}
