// The stored files: the server's list where it gives one, else what was uploaded from this browser.

import {say} from "/_wsd/language.js";
import {recall, remember} from "/_wsd/memory.js";
import {sentenceOf, sizeOf} from "./texts.js";
import {copyLink} from "./uploads.js";

const {route, list, delete: mayDelete} = document.body.dataset;
const isListed = list === "true";
const KEY = `blob.receipts ${route}`;
const MOST = 100; // receipts that are kept in this browser
const element = (id) => document.getElementById(id);

let receipts = []; // the newest first

/** Shows what is stored. */
export async function loadStored() {
  receipts = isListed ? await listed() : await kept();
  drawStored();
}

/** Adds a file that has just been stored. */
export function addStored(receipt) {
  keep([receipt, ...receipts.filter((each) => each.id !== receipt.id)]);
}

export function drawStored() {
  element("stored-title").textContent = say(isListed ? "stored" : "storedMine");
  element("no-list").hidden = isListed;
  element("none").hidden = receipts.length > 0;
  element("stored").replaceChildren(...receipts.map(rowOf));
}

async function listed() {
  try {
    const answer = await fetch(route, {headers: {Accept: "application/json"}});
    return (await answer.json()).files.reverse();
  } catch {
    tell(say("error.lost"), true);
    return receipts;
  }
}

/** What this browser remembers, without what is gone. */
async function kept() {
  let found;
  try {
    found = JSON.parse(recall(KEY) ?? "[]");
  } catch {
    found = [];
  }
  const answers = await Promise.all(found.map(({url}) => fetch(url, {method: "HEAD"}).catch(() => null)));
  return found.filter((_, index) => answers[index]?.status !== 404);
}

function keep(more) {
  receipts = more;
  if (!isListed) remember(KEY, JSON.stringify(receipts.slice(0, MOST)));
  drawStored();
}

function rowOf(receipt) {
  const row = element("stored-row").content.cloneNode(true).firstElementChild;
  const at = (name) => row.querySelector(`.${name}`);
  at("link").href = receipt.url;
  at("link").textContent = receipt.name;
  at("size").textContent = sizeOf(receipt.size);
  at("type").textContent = receipt.type;
  row.querySelector("code").textContent = receipt.sha256;
  for (const button of row.querySelectorAll("button")) {
    button.textContent = say(button.dataset.say);
    button.setAttribute("aria-label", `${button.textContent}: ${receipt.name}`);
  }
  at("copy").addEventListener("click", () => copyLink(at("copy"), receipt.url));
  at("remove").hidden = mayDelete !== "true";
  at("remove").addEventListener("click", () => ask(receipt));
  return row;
}

function ask(receipt) {
  const dialog = element("ask");
  element("ask-title").textContent = say("ask", {name: receipt.name});
  dialog.returnValue = "keep";
  dialog.onclose = () => dialog.returnValue === "remove" && remove(receipt);
  dialog.showModal();
}

async function remove({id, name, url}) {
  try {
    const answer = await fetch(url, {method: "DELETE"});
    const error = answer.ok ? null : (await answer.json()).error;
    if (error && error.code !== "unknown") {
      tell(sentenceOf(error), true);
      return;
    }
  } catch {
    tell(say("error.lost"), true);
    return;
  }
  keep(receipts.filter((each) => each.id !== id));
  tell(say("removed", {name}), false);
}

function tell(sentence, isWrong) {
  element("told").textContent = sentence;
  element("told").classList.toggle("wrong", isWrong);
}
