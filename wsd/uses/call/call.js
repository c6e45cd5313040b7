// A video call: the topic of the room says who is there and carries what the browsers say to find each other.

import {say} from "/_wsd/language.js";
import {Topics} from "/_wsd/wsd-topics.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {openDevices, openScreen} from "/uses/shared/media.js";
import {iceServersAt, Peer} from "/uses/shared/peer.js";
import {followName, nameOf, person, randomId} from "/uses/shared/person.js";
import {presence} from "/uses/shared/presence.js";
import {tell} from "/uses/shared/wrong.js";
import {beginChat} from "./chat.js";
import {drawControls, drawTile, removeTile} from "./tiles.js";
import "./words.js";

const AGAIN = 3_000; // ms until we try again to be present, after a connection that the server still holds
const AT_FIRST = {isMuted: false, isDark: false, isSharing: false};
// Anyone can enter with any state.
const readState = (state) => ({...AT_FIRST, ...state, id: String(state?.id), name: String(state?.name ?? "?")});
const element = (id) => document.getElementById(id);

const room = new URLSearchParams(location.search).get("room")?.match(/^[\w-]{1,40}$/)?.[0] ?? randomId().slice(0, 10);
history.replaceState(null, "", `?room=${room}`);

const me = person();
const own = {id: randomId(), ...AT_FIRST}; // what the others know of us, beside our name
const present = new Map(); // whoever is in the call, by member: their `state` is like ours
const peers = new Map(); // id to the connection with that person
let media = null; // what we send: {stream}, or null while we are not in the call
let iceServers = [];

const topics = new Topics(at("/uses/call/topics/"));

// lesson: presence
topics.subscribe(room, {
  history: 50,
  onmessage: beginChat(topics, room, me),
  ...presence(present, ({change, state}) => {
    meet();
    if (change === "join") welcome(state.id);
    else if (!change) for (const peer of peers.values()) peer.repeatOffer(); // we are connected again
  }, readState),
});
// end of lesson

/** Whoever is in the call already connects with the one who joins: of two people, exactly one sees the other join. */
function welcome(id) {
  const isIn = media !== null && [...present.values()].some(({state}) => state.id === own.id);
  if (!isIn || id === own.id) return;
  if (peers.has(id)) peers.get(id).goOn();
  else connect(id).begin();
}

/** Draws who is there. Whoever is absent while the picture still moves has lost the server alone. */
function meet() {
  const others = new Map([...present.values()].map(({state}) => [state.id, state]));
  others.delete(own.id);
  for (const [id, state] of others) if (peers.has(id)) drawTile({...state, peer: peers.get(id)});
  for (const [id, peer] of peers) if (!others.has(id) && !peer.isConnected) part(id);
  const names = [...others.values()].map(({name}) => name).join(", ");
  element("present").textContent = names ? say("there", {names}) : say("alone");
}

function connect(id) {
  const send = (signal) => sendSignal(id, signal);
  const peer = new Peer({iceServers, isPolite: own.id < id, stream: media.stream, send, onchange: meet});
  peers.set(id, peer);
  return peer;
}

// lesson: signalling
function sendSignal(id, signal) {
  const member = [...present].find(([, {state}]) => state.id === id)?.[0];
  if (member) topics.direct(room, member, signal).catch(() => {}); // goOn repeats a signal that is lost
}

topics.addEventListener("direct", ({detail: {from, payload}}) => {
  const id = present.get(from)?.state.id;
  if (payload?.isGone) part(id);
  else if (media && id) (peers.get(id) ?? connect(id)).take(Object(payload)).catch(() => {}); // it makes no sense
  meet();
});
// end of lesson

function part(id) {
  peers.get(id)?.close();
  peers.delete(id);
  removeTile(id);
}

async function join() {
  tell(null);
  media = await openDevices(tell);
  own.isDark = !media.stream.getVideoTracks().length;
  draw();
  try {
    iceServers = await iceServersAt(at("/uses/call/ice.json"));
    await enter();
  } catch (error) {
    if (error.code === "too_many") tell("full");
    leave();
  }
}

/** We are present, or something of ours has changed. */
function enter() {
  return topics.enter(room, {...own, name: nameOf(me)});
}

function leave() {
  for (const member of present.keys()) topics.direct(room, member, {isGone: true}).catch(() => {});
  topics.leave(room).catch(() => {});
  for (const id of [...peers.keys()]) part(id);
  media?.close();
  media = null;
  Object.assign(own, AT_FIRST);
  removeTile(own.id);
  draw();
}

function change(values) {
  Object.assign(own, values);
  enter().catch(() => {});
  draw();
}

function draw() {
  if (media) drawTile({...own, name: nameOf(me), stream: media.stream, isMe: true});
  drawControls(own, media !== null);
}

/** Shows a screen in place of the camera, or the camera again. */
function show(video, isSharing) {
  for (const peer of peers.values()) peer.setVideo(video, media.stream);
  change({isSharing});
}

async function shareScreen() {
  const screen = await openScreen();
  if (!screen || !media) return;
  media.show(screen);
  screen.addEventListener("ended", stopScreen); // by the browser's own button
  show(screen, true);
}

function stopScreen() {
  if (media) show(media.showCamera(), false);
}

element("join").addEventListener("submit", (event) => (event.preventDefault(), join()));
element("leave").addEventListener("click", leave);
element("screen").addEventListener("click", () => (own.isSharing ? stopScreen() : shareScreen()));
element("mute").addEventListener("click", () => {
  media.setAudible(own.isMuted);
  change({isMuted: !own.isMuted});
});
element("camera").addEventListener("click", () => {
  media.setVisible(own.isDark);
  change({isDark: !own.isDark});
});

// After a reconnection to a full room the server may still hold our last connection.
topics.addEventListener("error", ({detail}) => {
  if (detail.code === "too_many" && media) setTimeout(() => media && change({}), AGAIN);
});
document.addEventListener("language", () => (draw(), meet()));
followName(me, draw);
followTopics(topics);
meet();
