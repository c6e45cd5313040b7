// The uploads of this page, one after the other, each with its row.

import {copyText} from "/_wsd/clipboard.js";
import {say} from "/_wsd/language.js";
import {sentenceOf, sizeOf, timeOf} from "./texts.js";
import {sendResumable, sendSingle} from "./ways.js";

const WAYS = {resumable: sendResumable, single: sendSingle};
const BUTTONS = {
  waiting: ["cancel"], sending: ["pause", "cancel"], paused: ["resume", "cancel"], failed: ["again", "dismiss"],
  canceled: ["dismiss"], done: ["copy", "dismiss"],
};
const COPIED = 2000; // milliseconds for which a button says that it has copied
const SMOOTH = 0.2; // of a new measurement of the speed in its mean
const element = (id) => document.getElementById(id);
const queue = [];
let isSending = false;

/** Uploads a file in a way, after those before it. `stored(receipt)` is called when it is there. */
export function add(file, way, route, stored) {
  const upload = new Upload(file, way, route, stored);
  element("uploads").hidden = false;
  element("files").prepend(upload.row);
  enqueue(upload);
}

/** Puts all rows into the current language. */
export function translateUploads() {
  for (const row of element("files").children) row.redraw();
}

async function enqueue(upload) {
  queue.push(upload);
  if (isSending) return;
  isSending = true;
  while (queue.length) await queue.shift().send();
  isSending = false;
}

/** One file on its way. Its state is one of BUTTONS; `why` is the error that it failed with or tries again after. */
class Upload {
  #state = "waiting";
  #sent = 0;
  #speed = 0;
  #seen = null; // the last measurement: bytes, and when
  #why = null;
  #receipt = null;
  #abort = new AbortController();
  #pause = new AbortController();

  constructor(file, way, route, stored) {
    Object.assign(this, {file, way, route, stored});
    this.row = element("upload-row").content.cloneNode(true).firstElementChild;
    this.row.redraw = () => this.#draw();
    this.#at("name").textContent = file.name;
    this.#at("size").textContent = sizeOf(file.size);
    this.#at("pause").addEventListener("click", () => this.#pause.abort());
    this.#at("cancel").addEventListener("click", () => this.#cancel());
    for (const name of ["resume", "again"]) this.#at(name).addEventListener("click", () => this.#restart());
    this.#at("dismiss").addEventListener("click", () => this.#dismiss());
    this.#at("copy").addEventListener("click", () => copyLink(this.#at("copy"), this.#receipt.url));
    this.#draw();
  }

  /** Sends the file, unless it was canceled while it waited. Never rejects. */
  async send() {
    if (this.#state !== "waiting") return;
    this.#to("sending");
    const on = {progress: (sent) => this.#progress(sent), retry: (error) => this.#retry(error)};
    try {
      const signals = {signal: this.#abort.signal, pause: this.#pause.signal};
      this.#receipt = await WAYS[this.way](this.route, this.file, {...signals, on});
      this.stored(this.#receipt);
      this.#to("done");
    } catch (error) {
      this.#why = error;
      this.#to(this.#abort.signal.aborted ? "canceled" : this.#pause.signal.aborted ? "paused" : "failed");
    }
  }

  #restart() {
    this.#pause = new AbortController();
    this.#seen = this.#why = null;
    this.#speed = 0;
    this.#to("waiting");
    enqueue(this);
  }

  /** A paused upload is removed at the server by another connection: `send` knows how. */
  #cancel() {
    this.#abort.abort();
    if (this.#state === "paused") {
      this.#pause = new AbortController();
      this.#state = "waiting";
      this.send();
    } else if (this.#state === "waiting") this.#to("canceled");
  }

  #dismiss() {
    this.row.remove();
    element("uploads").hidden = !element("files").children.length;
  }

  #progress(sent) {
    const now = performance.now();
    if (!this.#seen || now - this.#seen.at > 300) {
      if (this.#seen) {
        const speed = 1000 * (sent - this.#seen.sent) / (now - this.#seen.at);
        this.#speed = this.#speed ? this.#speed + SMOOTH * (speed - this.#speed) : speed;
      }
      this.#seen = {at: now, sent};
    }
    this.#sent = sent;
    this.#why = null;
    this.#draw();
  }

  #retry(error) {
    this.#why = error;
    this.#seen = null;
    this.#draw();
  }

  #to(state) {
    this.#state = state;
    this.#draw();
    if (["done", "failed"].includes(state)) element("ended").textContent = `${this.file.name}: ${this.#sentence()}`;
  }

  #at(name) {
    return this.row.querySelector(`.${name}`);
  }

  #sentence() {
    const done = sizeOf(this.#sent), size = sizeOf(this.file.size);
    if (this.#state === "failed") return say("failed", {why: sentenceOf(this.#why)});
    if (this.#state !== "sending") return say(this.#state, {done, size});
    if (this.#why) return say("retrying", {why: sentenceOf(this.#why)});
    if (this.file.size && this.#sent >= this.file.size) return say("verifying");
    if (this.#speed <= 0) return say("sending", {done, size});
    const left = timeOf((this.file.size - this.#sent) / this.#speed);
    return say("speed", {done, size, speed: sizeOf(this.#speed), left});
  }

  #draw() {
    const shown = BUTTONS[this.#state].filter((name) => name !== "pause" || this.way === "resumable");
    for (const button of this.row.querySelectorAll("button")) {
      const name = button.classList[0];
      button.hidden = !shown.includes(name);
      button.textContent = say(button.dataset.say);
      button.setAttribute("aria-label", `${say(button.dataset.say)}: ${this.file.name}`);
    }
    const bar = this.#at("state").previousElementSibling;
    bar.hidden = !["waiting", "sending", "paused"].includes(this.#state);
    bar.value = this.file.size ? this.#sent / this.file.size : 1;
    bar.setAttribute("aria-label", say("progressOf", {name: this.file.name}));
    const kind = this.#state === "done" ? "good" : this.#state === "failed" ? "bad" : "";
    const sentence = this.#sentence();
    this.#at("state").className = `state quiet ${kind}`;
    if (this.#at("state").textContent !== sentence) this.#at("state").textContent = sentence;
  }
}

/** Copies the address of a file, and says on the button that it did. */
export async function copyLink(button, url) {
  const isCopied = await copyText(new URL(url, location.href).href);
  button.textContent = say(isCopied ? "copied" : "cannotCopy");
  setTimeout(() => { button.textContent = say(button.dataset.say); }, COPIED);
}
