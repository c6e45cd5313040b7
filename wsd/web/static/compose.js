// What to send: five tabs, each of which makes one payload, checks it, and hands it on.

import {formatSize, parseHex, utf8} from "./bytes.js";
import {checkJson} from "./checks.js";
import {template, TEMPLATES} from "./envelopes.js";
import {Keeper} from "./keep.js";
import {say, Wrong} from "./language.js";
import {Pad} from "./pad.js";

const element = (id) => document.getElementById(id);

export class Composer {
  #file = null;
  #tabs = [...document.querySelectorAll("[role=tab]")];

  /**
   * `send` takes a string, Blob or ArrayBuffer and says whether it went out; `announce` takes a sentence, `tell` an event
   * {key, values} for the log.
   */
  constructor(send, announce, tell) {
    this.send = send;
    this.announce = announce;
    this.pad = new Pad(announce);
    this.keeper = new Keeper(() => this.#chosen(), (wrong) => this.#wrong(wrong), tell);
    this.#serve("text", () => element("text").value);
    this.#serve("json", () => checkJson(element("json").value));
    this.#serve("hex", () => parseHex(element("hex").value).buffer);
    this.#serve("file", () => this.#chosen());
    this.#serve("canvas", () => this.pad.buffer());
    for (const tab of this.#tabs) tab.addEventListener("click", () => this.choose(tab));
    element("tab-text").parentElement.addEventListener("keydown", (event) => this.#walk(event));
    for (const id of ["text", "json", "hex"]) {
      element(id).addEventListener("input", () => this.#note());
      element(id).addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element(`panel-${id}`).requestSubmit();
      });
    }
    element("tidy").addEventListener("click", () => this.#tidy());
    element("template").append(...Object.keys(TEMPLATES).map((name) => new Option(name)));
    element("template").addEventListener("change", () => this.#lay());
    element("wipe").addEventListener("click", () => this.pad.wipe());
    element("file").addEventListener("change", ({target}) => this.#take(target.files[0] ?? null));
    this.#receiveDrops();
    document.addEventListener("language", () => this.#note());
  }

  choose(chosen) {
    for (const tab of this.#tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      element(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    this.#wrong(null);
  }

  #serve(kind, payload) {
    element(`panel-${kind}`).addEventListener("submit", (event) => {
      event.preventDefault();
      try {
        if (!this.send(payload())) throw new Wrong("notOpen");
        this.#wrong(null);
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        this.#wrong(error);
      }
    });
  }

  #wrong(wrong) {
    const sentence = wrong ? say(wrong.key, wrong.values) : "";
    const noted = Boolean(wrong?.field); // then the note under its field says it already
    element("send-wrong").hidden = !wrong || noted;
    element("send-wrong").textContent = noted ? "" : sentence;
    if (noted) element(wrong.field).focus();
    if (wrong) this.announce(sentence);
  }

  /** The line under each field: how much it is, or what is wrong with it so far. */
  #note() {
    this.#noteOf("text", "textNote", (value) => utf8(value).length);
    this.#noteOf("json", "jsonNote", (value) => utf8(checkJson(value)).length);
    this.#noteOf("hex", "hexNote", (value) => parseHex(value).length);
    const file = this.#file;
    element("file-note").textContent = file
      ? say("fileNote", {name: file.name, size: formatSize(file.size)}) : say("fileNone");
  }

  #noteOf(id, key, measure) {
    const note = element(`${id}-note`);
    let wrong = null;
    try {
      note.textContent = say(key, {size: formatSize(measure(element(id).value))});
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      wrong = error;
      note.textContent = say(wrong.key, wrong.values);
    }
    note.classList.toggle("wrong", wrong !== null);
    element(id).setAttribute("aria-invalid", String(wrong !== null));
  }

  #tidy() {
    try {
      element("json").value = JSON.stringify(JSON.parse(element("json").value), null, 2);
    } catch {
      // The note under the field says already what is wrong.
    }
    this.#note();
  }

  /** Lays out the chosen template, and offers all of them again. */
  #lay() {
    const field = element("json");
    field.value = template(element("template").value);
    element("template").value = "";
    this.#note();
    field.setSelectionRange(0, 0);
    field.focus();
    field.scrollTop = 0;
  }

  #chosen() {
    if (!this.#file) throw new Wrong("fileMissing");
    return this.#file;
  }

  #take(file) {
    this.#file = file;
    this.#note();
    if (file) this.announce(element("file-note").textContent);
  }

  /** A file dropped anywhere is taken, for a missed target would make the browser leave the page. */
  #receiveDrops() {
    const carriesFile = (event) => event.dataTransfer.types.includes("Files");
    window.addEventListener("dragover", (event) => {
      if (!carriesFile(event)) return;
      event.preventDefault();
      document.body.classList.add("dragging");
    });
    window.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dragging");
    });
    window.addEventListener("drop", (event) => {
      document.body.classList.remove("dragging");
      if (!carriesFile(event)) return;
      event.preventDefault();
      element("file").value = "";
      this.choose(element("tab-file"));
      this.#take(event.dataTransfer.files[0]);
    });
  }

  /** Tabs as the ARIA practices have them: one stop for Tab, arrows between them. */
  #walk(event) {
    const here = this.#tabs.indexOf(event.target);
    const count = this.#tabs.length;
    const there = {ArrowRight: (here + 1) % count, ArrowLeft: (here + count - 1) % count, Home: 0, End: count - 1}[event.key];
    if (here < 0 || there === undefined) return;
    event.preventDefault();
    this.choose(this.#tabs[there]);
    this.#tabs[there].focus();
  }
}
