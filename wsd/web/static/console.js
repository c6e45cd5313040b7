// The console: wires its parts together. Its state is in sessions.js; no framework, no request to another host.

import {announce, announceMessage} from "./announce.js";
import {bindFields, showFields} from "./bind.js";
import {hexLine} from "./bytes.js";
import {copyText} from "./clipboard.js";
import {Composer} from "./compose.js";
import {ConnectionPanel} from "./connection.js";
import {Facts} from "./facts.js";
import {say, translate, Wrong} from "./language.js";
import {bytesOf} from "./ledger.js";
import {readRecords} from "./lines.js";
import {Log} from "./log.js";
import {recall, remember} from "./memory.js";
import {sentence} from "./preview.js";
import {Saved} from "./saved.js";
import {Sessions} from "./sessions.js";
import {isReload, sharedForm} from "./share.js";
import {Tabs} from "./tabs.js";
import {escapeVariables} from "./variables.js";
import "./words.js";

const element = (id) => document.getElementById(id);
const NAMES = ["0 CONNECTING", "1 OPEN", "2 CLOSING", "3 CLOSED"];
const host = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
const EDITABLE = 65_536; // bytes of a binary message that can be edited
const COPIED = 1_048_576; // bytes of a binary message that are copied, in hex
const RECORDS = 20; // connections of one file that are shown

const first = {url: `${host}/echo`};

const sessions = new Sessions();
const facts = new Facts();
const composer = new Composer(sessions, (payload) => sessions.active.wire.send(payload), tell);
const panel = new ConnectionPanel(sessions, host, composer);
const log = new Log({copy, edit, resend: ({payload}) => composer.resend(payload)});

/** Notes in the log, and to those who listen, what has happened beside the connection. */
function tell(event) {
  sessions.active.tell(event);
}

async function copy(row) {
  const text = row.direction === "event" ? row.values?.command ?? sentence(row)
    : row.opcode === "text" ? row.payload : hexLine(await bytesOf(row.payload, COPIED));
  const isCopied = await copyText(text);
  announce(say(isCopied ? "copied" : "notCopied"));
  return isCopied;
}

/** Puts a message of the log into its field. */
async function edit({opcode, payload, size}) {
  if (opcode === "text") {
    const kind = /^\s*[[{]/.test(payload) && isJson(payload) ? "json" : "text";
    composer.use({kind, body: escapeVariables(payload)});
  } else if (size <= EDITABLE) {
    composer.use({kind: "hex", body: hexLine(await bytesOf(payload))});
  } else {
    announce(say("editLarge"));
  }
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Shows each connection of a file in a tab of its own. */
async function importFile(file) {
  element("import-wrong").hidden = true;
  try {
    for (const {url, protocols, rows} of (await readRecords(file)).slice(0, RECORDS)) {
      const {form} = sessions.active;
      const session = sessions.add({...form, url: url || form.url, protocols, "reply-on": false});
      for (const row of rows) session.ledger.add(row);
      log.show(session);
    }
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    element("import-wrong").hidden = false;
    element("import-wrong").textContent = say(error.key, error.values);
    announce(say(error.key, error.values));
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

function draw() {
  facts.draw(sessions.active.wire);
  panel.draw();
}

let shown = null;

/** Shows the connection that was chosen. */
function show() {
  const {active} = sessions;
  if (shown === active) return;
  shown = active;
  showFields(active.form);
  composer.choose(active.form.tab);
  log.show(active);
  panel.drawWords();
  facts.draw(active.wire);
}

sessions.addEventListener("list", show);
sessions.addEventListener("state", ({detail: {session}}) => session === sessions.active && draw());
sessions.addEventListener("row", ({detail: {session, row}}) => {
  if (session !== sessions.active) return;
  log.drawSoon();
  drawSoon();
  if (row.direction === "received") announceMessage(row);
  if (row.direction !== "event") return;
  const {state} = session.wire;
  announce(`${state === null ? "" : say("live", {state: NAMES[state]})} ${sentence(row)}`);
});

bindFields(sessions, (name) => panel.changed(name));
new Tabs(sessions);
new Saved({
  read: () => composer.read(),
  use: (message) => composer.use(message),
  send: (message) => composer.sendSaved(message),
});
element("import").addEventListener("change", ({target}) => {
  if (target.files.length) importFile(target.files[0]);
  target.value = "";
});
for (const folded of document.querySelectorAll("details[data-kept]")) {
  folded.open = recall(`open.${folded.id}`) === "yes";
  folded.addEventListener("toggle", () => remember(`open.${folded.id}`, folded.open ? "yes" : "no"));
}

/** A link to the console opens a tab here, or the tab that is still unused: the open connections stay. */
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/?']");
  const form = link && !event.ctrlKey && !event.metaKey && !event.shiftKey ? sharedForm(new URL(link.href)) : null;
  if (!form) return;
  event.preventDefault();
  const unused = sessions.active;
  sessions.add({...first, ...form});
  element("routes").open = false;
  if (unused.wire.state === null && !unused.ledger.rows.length) sessions.remove(unused);
  element("connect").focus();
});

element("place").value = `${host}/blob`;
const asked = sharedForm();
const isFirst = !sessions.restore({...first, ...asked});
if (asked && !isFirst && !isReload()) sessions.add({...first, ...asked});
translate();
