// A video call: the topic of the room says who is there and carries what the browsers say to find each other.

import {Topics} from "/_wsd/wsd-topics.js";
import {say} from "/_wsd/language.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {tell} from "/uses/shared/wrong.js";
import {beginChat} from "./chat.js";
import {openDevices, openScreen} from "./media.js";
import {loadIceServers, Peer} from "./peer.js";
import {drawControls, drawPresent, drawTile, removeTile} from "./tiles.js";
import "./words.js";

const AGAIN = 3_000; // ms until we try again to be present, after a connection that the server still holds
const element = (id) => document.getElementById(id);
const number = () => String(Math.floor(Math.random() * 1e9));

const room = new URLSearchParams(location.search).get("room")?.match(/^[\w-]{1,40}$/)?.[0] ?? number();
history.replaceState(null, "", `?room=${room}`);

const me = {id: number(), name: "", isMuted: false, isDark: false, isSharing: false};
const present = new Map(); // member to the state of whoever is present
const peers = new Map(); // id to the connection with that person
let media = null; // what we send: {stream}, or null while we are not in the call
let iceServers = [];

const topics = new Topics(at("/uses/call/topics/"));

// lesson: presence
topics.subscribe(room, {
  history: 50,
  onmessage: beginChat(topics, room, me),
  onmembers(members) {
    present.clear();
    for (const {member, state} of members) present.set(member, state);
    meet();
    for (const peer of peers.values()) peer.repeatOffer();
  },
  onpresence({change, member, state}) {
    if (change === "leave") present.delete(member);
    else present.set(member, state);
    meet();
    if (change === "join") welcome(state.id);
  },
});
// end of lesson

/** Whoever is in the call already connects with the one who joins: of two people, exactly one sees the other join. */
function welcome(id) {
  const isIn = media !== null && [...present.values()].some((state) => state.id === me.id);
  if (!isIn || id === me.id) return;
  if (peers.has(id)) peers.get(id).goOn();
  else connect(id).begin();
}

/** Draws who is there. Whoever is absent while the picture still moves has lost the server alone. */
function meet() {
  const others = new Map([...present.values()].filter(({id}) => id !== me.id).map((state) => [state.id, state]));
  for (const [id, state] of others) if (peers.has(id)) drawTile({...state, peer: peers.get(id)});
  for (const [id, peer] of peers) if (!others.has(id) && !peer.isConnected) part(id);
  drawPresent([...others.values()].map(({name}) => name));
}

function connect(id) {
  const send = (signal) => sendSignal(id, signal);
  const peer = new Peer({iceServers, isPolite: me.id < id, stream: media.stream, send, onchange: meet});
  peers.set(id, peer);
  return peer;
}

// lesson: signalling
function sendSignal(id, signal) {
  const member = [...present].find(([, state]) => state.id === id)?.[0];
  if (member) topics.direct(room, member, signal).catch(() => {}); // goOn repeats a signal that is lost
}

topics.addEventListener("direct", ({detail: {from, payload}}) => {
  const id = present.get(from)?.id;
  if (payload.isGone) part(id);
  else if (media && id) (peers.get(id) ?? connect(id)).take(payload);
  meet();
});
// end of lesson

function part(id) {
  peers.get(id)?.close();
  peers.delete(id);
  removeTile(id);
}

async function join() {
  me.name = element("name").value.trim() || say("guest", {number: me.id.slice(-3)});
  media = await openDevices();
  me.isDark = !media.stream.getVideoTracks().length;
  draw();
  try {
    iceServers = await loadIceServers();
    await topics.enter(room, me);
  } catch (error) {
    if (error.code === "too_many") tell("full");
    leave();
  }
}

function leave() {
  for (const member of present.keys()) topics.direct(room, member, {isGone: true}).catch(() => {});
  topics.leave(room).catch(() => {});
  for (const id of [...peers.keys()]) part(id);
  media?.close();
  media = null;
  Object.assign(me, {isMuted: false, isDark: false, isSharing: false});
  removeTile(me.id);
  draw();
}

/** Something of ours has changed: the others see it by our state. */
function change(values) {
  Object.assign(me, values);
  topics.enter(room, me).catch(() => {});
  draw();
}

function draw() {
  if (media) drawTile({...me, stream: media.stream, isMe: true});
  drawControls(me, media !== null);
}

async function shareScreen() {
  const screen = await openScreen();
  if (!screen || !media) return;
  media.show(screen);
  screen.addEventListener("ended", stopScreen); // by the browser's own button
  for (const peer of peers.values()) peer.setVideo(screen, media.stream);
  change({isSharing: true});
}

function stopScreen() {
  if (!media) return;
  const camera = media.showCamera();
  for (const peer of peers.values()) peer.setVideo(camera, media.stream);
  change({isSharing: false});
}

element("join").addEventListener("submit", (event) => (event.preventDefault(), join()));
element("leave").addEventListener("click", leave);
element("screen").addEventListener("click", () => (me.isSharing ? stopScreen() : shareScreen()));
element("mute").addEventListener("click", () => {
  media.setAudible(me.isMuted);
  change({isMuted: !me.isMuted});
});
element("camera").addEventListener("click", () => {
  media.setVisible(me.isDark);
  change({isDark: !me.isDark});
});

// After a reconnection to a full room the server may still hold our last connection.
topics.addEventListener("error", ({detail}) => {
  if (detail.code === "too_many" && media) setTimeout(() => media && change({}), AGAIN);
});
element("name").value = say("guest", {number: me.id.slice(-3)});
document.addEventListener("language", () => (draw(), meet()));
followTopics(topics);
drawPresent([]);
