// The panel of the connection: where to, how, and the buttons that connect and close.

import {announce} from "./announce.js";
import {utf8} from "./bytes.js";
import {write} from "./bind.js";
import {checkClose, checkProtocols, checkUrl, REASON_LIMIT} from "./checks.js";
import {copyText} from "./clipboard.js";
import {TOPICS} from "./envelopes.js";
import {History} from "./history.js";
import {say, Wrong} from "./language.js";
import {REPLIES} from "./reply.js";
import {shareLink} from "./share.js";
import {EXAMPLES, TEMPLATES} from "./templates.js";
import {quoted} from "./why.js";

const element = (id) => document.getElementById(id);
const RECENT = 20; // addresses that are offered again

/** The line that a terminal takes for a connection with a header. Everything in it is quoted for a shell. */
export function connectLine(url, protocols) {
  const offered = protocols.flatMap((name) => ["--subprotocol", quoted(name)]);
  return ["wsd connect -H 'Authorization: Bearer TOKEN'", ...offered, quoted(url)].join(" ");
}

export class ConnectionPanel {
  #urls = new History("urls", RECENT, (one, other) => one.url === other.url && one.protocols === other.protocols,
    () => this.#offer());

  /** `host` is this host as ws://HOST; `composer` takes the first message of a template. */
  constructor(sessions, host, composer) {
    Object.assign(this, {sessions, host, composer});
    this.#onSubmit("connect-form", () => this.#connect());
    this.#onSubmit("close-form", () => this.#close());
    element("reason").addEventListener("input", () => this.#drawReason());
    element("start").addEventListener("change", () => this.#start());
    element("share").addEventListener("click", () => this.#share());
    element("copy-line").addEventListener("click", ({target}) => this.#copy(target, element("connect-line").textContent));
    document.addEventListener("language", () => this.drawWords());
  }

  /** Does what a field asks for when it was changed. */
  changed(name) {
    const {active} = this.sessions;
    const {form, wire} = active;
    if (name === "binary-type") wire.setBinaryType(form[name]);
    if (name === "again") wire.reconnect(form.again);
    if (name === "reply-on") active.setReplying(form[name]);
    if (name === "reply-how" || name === "reply-what") this.#checkRule();
    element("share-note").hidden = true;
    this.draw();
    this.#drawOptions();
  }

  /** What the sentences hold that are not of one moment. */
  drawWords() {
    this.#offer();
    this.#drawReason();
    this.#drawOptions();
    this.#checkRule();
    this.draw();
  }

  /** What follows the state of the connection: the two buttons, the countdown, the templates of topics. */
  draw() {
    const {wire, replies, form} = this.sessions.active;
    const waiting = wire.due !== null;
    const isOther = !wire.idle && this.#isOther();
    element("connect").setAttribute("aria-disabled", String(!wire.idle && !isOther));
    element("connect").textContent = say(waiting ? "connectNow" : isOther ? "connectOther" : "connect");
    element("close").setAttribute("aria-disabled", String(!waiting && (wire.idle || wire.state === WebSocket.CLOSING)));
    element("close").textContent = say(waiting ? "stopTrying" : "close");
    element("template").hidden = wire.state !== WebSocket.OPEN || wire.socket.protocol !== TOPICS;
    element("reply-on").checked = form["reply-on"];
    element("reply-state").textContent = form["reply-on"] ? say("on") : "";
    element("reply-note").textContent = say("replyNote", {count: replies.count, limit: REPLIES, variable: "{{message}}"});
    element("countdown").hidden = !waiting;
    if (!waiting) return;
    const seconds = Math.max(0, (wire.due - performance.now()) / 1000).toFixed(1);
    element("countdown").textContent = say("countdown", {seconds, attempt: wire.attempt});
  }

  #typed() {
    const {form} = this.sessions.active;
    return {url: checkUrl(form.url, location.href), protocols: checkProtocols(form.protocols)};
  }

  /** Whether the fields hold another address than the connection has. */
  #isOther() {
    const {asked} = this.sessions.active.wire;
    try {
      const {url, protocols} = this.#typed();
      return url !== asked.url || protocols.join() !== asked.protocols.join();
    } catch {
      return false; // what is typed is no address yet
    }
  }

  #connect() {
    const {wire, form} = this.sessions.active;
    let typed;
    const isGood = checked("url-wrong", ["url"], () => checkUrl(form.url, location.href))
      && checked("protocols-wrong", ["protocols"], () => {
        typed = this.#typed();
      });
    if (!isGood) return;
    checked("url-wrong", ["url"], () => {
      try {
        wire.reconnectTo(typed.url, typed.protocols);
      } catch (error) {
        throw new Wrong("urlRefused", {why: error.message}, "url");
      }
      this.#urls.add({url: typed.url, protocols: form.protocols.trim()});
    });
  }

  #close() {
    const {wire, form} = this.sessions.active;
    checked("close-wrong", ["code", "reason"], () => {
      const waiting = wire.due !== null; // there is no connection then, only a try to call off
      wire.close(waiting ? [] : checkClose(form.code, form.reason));
    });
  }

  #drawReason() {
    element("reason-left").textContent = say("reasonLeft", {left: REASON_LIMIT - utf8(element("reason").value).length});
  }

  /** What is set behind the closed options, and the line for a terminal. */
  #drawOptions() {
    const {form} = this.sessions.active;
    const binary = form["binary-type"] === "blob" ? "" : form["binary-type"];
    const set = [form.protocols.trim(), binary, form.again ? say("again") : ""];
    element("options-note").textContent = set.filter(Boolean).join(" · ");
    element("reply-state").textContent = form["reply-on"] ? say("on") : "";
    try {
      const {url, protocols} = this.#typed();
      element("connect-line").textContent = connectLine(url, protocols);
    } catch {
      // The line stays that of the last address.
    }
  }

  #checkRule() {
    const {form} = this.sessions.active;
    let why = "";
    try {
      if (form["reply-how"] === "matches") new RegExp(form["reply-what"], "u");
    } catch (error) {
      why = say("replyBad", {why: error.message});
    }
    element("reply-wrong").hidden = !why;
    element("reply-wrong").textContent = why;
    element("reply-what").setAttribute("aria-invalid", String(Boolean(why)));
  }

  /** Offers what to start with: recent addresses, a template for each protocol, the switches of echo. */
  #offer() {
    const group = (key, options) => {
      const element = Object.assign(document.createElement("optgroup"), {label: say(key)});
      element.append(...options);
      return element;
    };
    const short = (url) => url.replace(this.host, "");
    const recent = this.#urls.entries.map(({url, protocols}, at) => (
      new Option([short(url), protocols].filter(Boolean).join(" · "), `recent ${at}`)));
    const templates = TEMPLATES.map(({name}, at) => new Option(say(`template ${name}`), `template ${at}`));
    const examples = EXAMPLES.map(([path, key], at) => new Option(`${path} – ${say(key)}`, `example ${at}`));
    element("start").replaceChildren(new Option(say("start"), ""), ...recent.length ? [group("recent", recent)] : [],
      group("templates", templates), group("examples", examples));
    const option = (value, label) => Object.assign(document.createElement("option"), {value, label});
    element("presets").replaceChildren(...this.#urls.entries.map(({url}) => option(url, "")),
      ...EXAMPLES.map(([path, key]) => option(this.host + path, say(key))));
  }

  /** Fills in what was chosen to start with; connects nowhere. */
  #start() {
    const [kind, at] = element("start").value.split(" ");
    element("start").value = "";
    if (kind === "recent") this.fillIn(this.#urls.entries[at]);
    if (kind === "example") this.fillIn({url: this.host + EXAMPLES[at][0], protocols: ""});
    if (kind !== "template") return;
    const {path, protocols, kind: tab, body} = TEMPLATES[at];
    this.fillIn({url: this.host + path, protocols});
    this.composer.use({kind: tab, body});
    element("connect").focus();
  }

  fillIn({url, protocols}) {
    write("url", url);
    write("protocols", protocols);
    element("connect").focus();
  }

  #share() {
    const {form} = this.sessions.active;
    const {kind, body} = this.composer.read();
    const link = shareLink({url: form.url, protocols: form.protocols, send: kind === "hex" ? "" : body});
    element("share-link").value = link;
    element("share-note").hidden = false;
    this.#copy(element("share"), link);
  }

  /** Copies a text, and says so on the button for a while. */
  async #copy(button, text) {
    if (!await copyText(text)) return;
    announce(say("copied"));
    const key = button.dataset.say;
    button.textContent = say("copied");
    setTimeout(() => {
      button.textContent = say(key);
    }, 1500);
  }

  #onSubmit(id, act) {
    element(id).addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter?.getAttribute("aria-disabled") !== "true") act();
    });
  }
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
    const folded = element(wrong.field).closest("details");
    if (folded) folded.open = true;
    element(wrong.field).focus();
  }
  return !wrong;
}
