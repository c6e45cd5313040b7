// What to send: five tabs, each of which makes one payload, checks it, and hands it on.

import {announce} from "./announce.js";
import {write} from "./bind.js";
import {formatSize, parseHex, utf8} from "./bytes.js";
import {checkJson} from "./checks.js";
import {Chosen} from "./chosen.js";
import {template, TEMPLATES} from "./envelopes.js";
import {History} from "./history.js";
import {Keeper} from "./keep.js";
import {joined, say, Wrong} from "./language.js";
import {Pad} from "./pad.js";
import {walkTabs} from "./tabs.js";
import {fill, tidy, variablesIn} from "./variables.js";

const element = (id) => document.getElementById(id);
const TYPED = ["text", "json", "hex"]; // the tabs with a field, whose messages can be saved and offered again
const RECENT = 50; // messages that are offered again
const LABEL = 60; // characters of a message in the list of them

export class Composer {
  #tabs = [...document.querySelectorAll("#kinds [role=tab]")];
  #texts = new History("texts", RECENT, (one, other) => one.kind === other.kind && one.body === other.body,
    () => this.#offerTexts());
  #back = -1; // how far Alt+Up has gone back

  /** `send` takes a string, Blob or ArrayBuffer and says whether it went out; `tell` takes an event for the log. */
  constructor(sessions, send, tell) {
    this.sessions = sessions;
    this.send = send;
    this.pad = new Pad(announce);
    this.chosen = new Chosen(() => this.choose("file"));
    this.keeper = new Keeper(() => this.chosen.get(), (wrong) => this.#wrong(wrong), tell);
    for (const kind of TYPED) this.#serve(kind, () => this.#typed(kind));
    this.#serve("file", () => this.chosen.get());
    this.#serve("canvas", () => this.pad.buffer());
    for (const tab of this.#tabs) tab.addEventListener("click", () => this.choose(tab.dataset.kind));
    element("kinds").addEventListener("keydown", (event) => walkTabs(event, this.#tabs, (at) => this.#go(at)));
    for (const kind of TYPED) this.#listen(kind);
    element("tidy").addEventListener("click", () => this.#tidy());
    element("template").append(...Object.keys(TEMPLATES).map((name) => new Option(name)));
    element("template").addEventListener("change", () => this.#lay());
    element("texts").addEventListener("change", ({target}) => {
      this.use(this.#texts.entries[target.value]);
      target.value = "";
    });
    element("wipe").addEventListener("click", () => this.pad.wipe());
    document.addEventListener("language", () => {
      this.#note();
      this.#offerTexts();
    });
  }

  /** Shows the tab of that kind, and keeps that it is shown. */
  choose(kind) {
    for (const tab of this.#tabs) {
      const isChosen = tab.dataset.kind === kind;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      element(`panel-${tab.dataset.kind}`).hidden = !isChosen;
    }
    this.kind = kind;
    this.sessions.active.form.tab = kind;
    this.sessions.save();
    element("save").hidden = !TYPED.includes(kind);
    this.#wrong(null);
    this.#note();
  }

  /** The message that is typed, as it stands: {kind, body}. */
  read() {
    const kind = TYPED.includes(this.kind) ? this.kind : "text";
    return {kind, body: element(kind).value};
  }

  /** Puts a message {kind, body} into its field, and shows it. */
  use({kind, body}) {
    this.choose(kind);
    write(kind, body);
    element(kind).setSelectionRange(0, 0);
    element(kind).scrollTop = 0;
    element(kind).focus();
  }

  /** Sends a message {kind, body} without typing it. */
  sendSaved({kind, body}) {
    this.#try(() => this.#payload(kind, body), false);
  }

  /** Sends a payload that went over a connection before. */
  resend(payload) {
    this.#try(() => payload, false);
  }

  get #context() {
    return {counter: this.sessions.active.wire.sent.count + 1};
  }

  #payload(kind, body) {
    if (kind === "hex") return parseHex(body).buffer;
    const text = fill(body, this.#context);
    return kind === "json" ? checkJson(text) : text;
  }

  #typed(kind) {
    return this.#payload(kind, element(kind).value);
  }

  #serve(kind, payload) {
    element(`panel-${kind}`).addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#try(payload) || !TYPED.includes(kind)) return;
      this.#texts.add({kind, body: element(kind).value});
      this.#back = -1;
    });
  }

  /** Sends, or shows why not: at the field if `inField`. */
  #try(payload, inField = true) {
    try {
      if (!this.send(payload())) throw new Wrong("notOpen");
      this.#wrong(null);
      return true;
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      this.#wrong(inField ? error : new Wrong(error.key, error.values));
      return false;
    }
  }

  #wrong(wrong) {
    const sentence = wrong ? say(wrong.key, wrong.values) : "";
    const noted = Boolean(wrong?.field); // then the note under its field says it already
    element("send-wrong").hidden = !wrong || noted;
    element("send-wrong").textContent = noted ? "" : sentence;
    if (noted) element(wrong.field).focus();
    if (wrong) announce(sentence);
  }

  #listen(kind) {
    element(kind).addEventListener("input", () => this.#note());
    element(kind).addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element(`panel-${kind}`).requestSubmit();
      if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
        event.preventDefault();
        this.#goBack(kind, event.key === "ArrowUp" ? 1 : -1);
      }
    });
  }

  /** Goes through the messages of that kind that were sent before. */
  #goBack(kind, step) {
    const bodies = this.#texts.entries.filter((entry) => entry.kind === kind).map(({body}) => body);
    const at = Math.min(bodies.length - 1, Math.max(0, this.#back + step));
    if (!bodies.length) return;
    this.#back = at;
    write(kind, bodies[at]);
  }

  /** The line under the field that is shown: how much it is, or what is wrong with it so far. */
  #note() {
    const filled = (value) => fill(value, this.#context);
    if (this.kind === "text") this.#noteOf("text", "textNote", (value) => utf8(filled(value)).length);
    if (this.kind === "json") this.#noteOf("json", "jsonNote", (value) => utf8(checkJson(filled(value))).length);
    if (this.kind === "hex") this.#noteOf("hex", "hexNote", (value) => parseHex(value).length);
  }

  #noteOf(kind, key, measure) {
    const note = element(`${kind}-note`);
    const {value} = element(kind);
    let wrong = null;
    try {
      const variables = kind === "hex" ? [] : variablesIn(value);
      const size = formatSize(measure(value));
      const filling = variables.length ? say("fillsIn", {variables: variables.join(" ")}) : "";
      note.textContent = joined(say(key, {size}), filling);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      wrong = error;
      note.textContent = say(wrong.key, wrong.values);
    }
    note.classList.toggle("wrong", wrong !== null);
    element(kind).setAttribute("aria-invalid", String(wrong !== null));
  }

  #tidy() {
    try {
      write("json", tidy(element("json").value));
    } catch {
      // The note under the field says already what is wrong.
    }
  }

  /** Lays out the chosen template, and offers all of them again. */
  #lay() {
    this.use({kind: "json", body: template(element("template").value)});
    element("template").value = "";
  }

  #offerTexts() {
    const options = this.#texts.entries.map(({body}, at) => {
      const line = body.replace(/\s+/g, " ").trim();
      return new Option(line.length > LABEL ? `${line.slice(0, LABEL)}…` : line || say("emptyMessage"), at);
    });
    element("texts").replaceChildren(new Option(say("history"), ""), ...options);
    element("texts").hidden = !options.length;
  }

  #go(at) {
    this.choose(this.#tabs[at].dataset.kind);
    this.#tabs[at].focus();
  }
}
