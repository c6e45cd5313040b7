// Editing together: a Yjs document in CodeMirror, kept by the server at /yjs/NAME.

import {create} from "/_wsd/element.js";
import {say} from "/_wsd/language.js";
import {
  Compartment, EditorView, keymap, lineNumbers, minimalSetup, placeholder, yCollab, yUndoManagerKeymap,
} from "/uses/lib/codemirror.js";
import {WebsocketProvider, Y} from "/uses/lib/yjs.js";
import {colorOf} from "/uses/shared/avatar.js";
import {cursors, cursorTheme} from "/uses/shared/cursors.js";
import {at, showConnection, socketAt} from "/uses/shared/frame.js";
import {followName, nameOf, person, titleOf} from "/uses/shared/person.js";
import "./words.js";

const element = (id) => document.getElementById(id);
const name = new URLSearchParams(location.search).get("doc") || "notes";

// lesson: document
const doc = new Y.Doc();
const text = doc.getText("text");
const provider = new WebsocketProvider(socketAt("/yjs"), encodeURIComponent(`uses/${name}`), doc, {
  disableBc: true, // windows of one browser would exchange edits without the server
});
// end of lesson

// -- the editor -----------------------------------------------------------------------------------------------------

const words = new Compartment(); // what changes with the language

function worded() {
  return [placeholder(say("empty")), EditorView.contentAttributes.of({"aria-label": say("text")})];
}

const theme = EditorView.theme({
  "&": {color: "var(--ink-text)", backgroundColor: "var(--panel)", fontSize: "15px", height: "100%"},
  "&.cm-focused": {outline: "2px solid var(--accent)"},
  ".cm-scroller": {fontFamily: "var(--sans)", lineHeight: "1.6"},
  ".cm-content": {caretColor: "var(--ink-text)", padding: "20px 0 12px"},
  ".cm-cursor": {borderLeftColor: "var(--ink-text)"},
  ".cm-gutters": {color: "var(--quiet)", backgroundColor: "var(--well)", borderRight: "1px solid var(--line)"},
  ".cm-placeholder": {color: "var(--quiet)"},
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground":
    {background: "light-dark(#cfe0f7, #2c4669)"},
});

// lesson: editor
const root = element("editor").attachShadow({mode: "open"});
const view = new EditorView({
  root,
  parent: root,
  extensions: [
    [keymap.of(yUndoManagerKeymap), minimalSetup, lineNumbers(), EditorView.lineWrapping],
    yCollab(text, null, {undoManager: new Y.UndoManager(text)}),
    cursors(text, provider.awareness),
    [theme, cursorTheme, words.of(worded())],
  ],
});
// end of lesson

// -- who is here ----------------------------------------------------------------------------------------------------

const me = person();

// lesson: people
function introduce() {
  provider.awareness.setLocalStateField("user", {name: nameOf(me)});
}

function peopleHere() {
  return [...provider.awareness.getStates()].filter(([, {user}]) => user);
}

provider.awareness.on("change", drawPeople);
// end of lesson

function drawPeople() {
  element("people").replaceChildren(...peopleHere().map(([client, {user}]) => {
    const title = titleOf(String(user.name), client === doc.clientID);
    return create("li", {className: `color-${colorOf(String(client))}`, textContent: title});
  }));
}

// -- the connection -------------------------------------------------------------------------------------------------

let state = ["connecting"]; // the words of the state, and their values

function drawState() {
  element("state").textContent = say(...state);
  element("state").classList.toggle("wrong", state[0] === "closed" || state[0] === "missing");
}

function show(...words) {
  state = words;
  drawState();
}

// lesson: offline
provider.on("sync", (isSynced) => isSynced && show("online"));

element("offline").addEventListener("click", () => {
  if (provider.shouldConnect) provider.disconnect();
  else provider.connect();
  showOffline();
});
// end of lesson

function showOffline() {
  const button = element("offline");
  button.dataset.say = provider.shouldConnect ? "goOffline" : "goOnline";
  button.textContent = say(button.dataset.say);
  show(provider.shouldConnect ? "connecting" : "offline");
}

let wasConnected = false;

provider.on("status", ({status}) => {
  if (status !== "connected") return;
  wasConnected = true;
  showConnection(true);
});

provider.on("connection-close", (event) => {
  if (!provider.shouldConnect) return;
  if (!wasConnected) checkRoute();
  const isRefusal = event?.code === 1009 || event?.code === 1013; // too large, or the disk failed: the reason says it
  if (isRefusal) show("closed", {reason: event.reason});
  else show("offline");
  showConnection(isRefusal);
});

/** A browser hides why a WebSocket was refused; an ordinary request tells whether there is such a route. */
async function checkRoute() {
  const answer = await fetch(at("/yjs/uses")).catch(() => null);
  if (answer?.status !== 404) return;
  provider.disconnect();
  show("missing");
}

// -- the page -------------------------------------------------------------------------------------------------------

function draw() {
  element("document-title").textContent = say("document", {name});
  view.dispatch({effects: words.reconfigure(worded())});
  introduce();
  drawPeople();
  drawState();
}

followName(me, introduce);
element("new").addEventListener("click", () => {
  location.search = new URLSearchParams({doc: Math.random().toString(36).slice(2, 8)});
});
document.addEventListener("language", draw);
draw();
