// Positions on a map: each person is a last value of one topic, and lives for as long as the page publishes it again.

import {Topics} from "/_wsd/wsd-topics.js";
import {say} from "/_wsd/language.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {kept} from "/uses/shared/kept.js";
import {tell} from "/uses/shared/wrong.js";
import {drawList, drawPerson, fade, removePerson} from "./people.js";
import {World} from "./world.js";
import "./words.js";

const TOPIC = "map/world";
const EVERY = 200; // ms between two positions while the pin is dragged
const HEARTBEAT = 10_000; // ms after which a position is published again
const FADES = 15_000; // ms without a word after which a person fades
const LIVES = 45_000; // ms after which a person is gone
const TRAIL = 45_000; // ms that a trail shows
const STEP = 12; // pixels that an arrow key moves the pin

const element = (id) => document.getElementById(id);
const people = new Map(); // id to {id, name, lon, lat, trail, heard}
const id = String(Math.floor(Math.random() * 1e9));
const guest = say("guest", {number: id.slice(-3)});
const me = kept({id, name: guest, lon: Math.random() * 200 - 100, lat: Math.random() * 80 - 25});
const world = new World(element("world"), me);

// lesson: subscribe
const topics = new Topics(at("/uses/topics/"));
topics.subscribe(TOPIC, {
  last: true,
  history: 100,
  onmessage: ({key, payload}) => key && key !== me.id && isPosition(payload) && show({...payload, id: key}),
});
// end of lesson

/** Anyone can publish anything to an open topic. */
function isPosition(payload) {
  return typeof payload?.name === "string" && [payload.lon, payload.lat, payload.at].every(Number.isFinite);
}

/** A person is somewhere. */
function show({id, name, lon, lat, at}) {
  const trail = people.get(id)?.trail ?? [];
  if (trail.length && trail.at(-1).at >= at) return; // the last values come with the history, and are older
  trail.push({lon, lat, at});
  while (trail[0].at < at - TRAIL) trail.shift();
  const person = {id, name: name.slice(0, 40), lon, lat, trail, heard: Date.now()};
  people.set(id, person);
  drawPerson(world, person, id === me.id);
}

// lesson: publish
async function publish() {
  const position = {name: me.name, lon: me.lon, lat: me.lat, at: Date.now()};
  show({...position, id: me.id});
  try {
    await topics.publish(TOPIC, position, {key: me.id, ttl: LIVES / 1000});
    tell(null);
  } catch (error) {
    if (error.code === "full") tell("full");
  }
}
// end of lesson

let next = null; // the timer of the next position

// lesson: throttle
function publishSoon() {
  next ??= setTimeout(() => {
    next = null;
    publish();
  }, EVERY);
}
// end of lesson

// lesson: heartbeat
setInterval(() => topics.isOpen && publish(), HEARTBEAT);

setInterval(() => {
  for (const person of people.values()) {
    const silent = person.id === me.id ? 0 : Date.now() - person.heard;
    if (silent < LIVES) fade(person, Math.max(0, silent - FADES) / (LIVES - FADES));
    else if (people.delete(person.id)) removePerson(person);
  }
  drawList(people.values(), me.id);
}, 1000);
// end of lesson

// -- the pin -----------------------------------------------------------------------------------------------------------

function moveTo({lon, lat}) {
  me.lon = Math.max(-180, Math.min(180, lon));
  me.lat = Math.max(-84, Math.min(84, lat));
  const mine = people.get(me.id);
  drawPerson(world, {...mine, ...me, trail: [...mine.trail, {lon: me.lon, lat: me.lat}]}, true);
  publishSoon();
}

function moveByHand(position) {
  follow(false);
  moveTo(position);
}

world.onpick = moveByHand;
world.ondrag = moveByHand;
element("people").addEventListener("keydown", (event) => {
  const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (!steps || !event.target.closest(".mine")) return;
  event.preventDefault();
  const [x, y] = steps.map((step) => step * STEP * world.unit);
  moveByHand({lon: me.lon + x, lat: me.lat - y});
});

let watch = null;

function follow(isOn) {
  if (watch !== null) navigator.geolocation.clearWatch(watch);
  watch = null;
  if (isOn && !window.isSecureContext) tell("insecure");
  else if (isOn) {
    // lesson: geolocation
    watch = navigator.geolocation.watchPosition(
      ({coords}) => moveTo({lon: coords.longitude, lat: coords.latitude}),
      ({code, PERMISSION_DENIED}) => {
        if (code === PERMISSION_DENIED) follow(false);
        tell(code === PERMISSION_DENIED ? "denied" : "nowhere"); // a device that has lost itself may be found again
      },
      {enableHighAccuracy: true},
    );
    // end of lesson
  }
  element("follow").setAttribute("aria-pressed", String(watch !== null));
}

element("follow").addEventListener("click", () => follow(watch === null));
element("name").value = me.name;
element("name").addEventListener("input", () => {
  me.name = element("name").value.trim() || say("guest", {number: me.id.slice(-3)});
  publishSoon();
});

document.addEventListener("language", () => {
  for (const person of people.values()) drawPerson(world, person, person.id === me.id);
  drawList(people.values(), me.id);
});
followTopics(topics);
publish();
drawList(people.values(), me.id);
