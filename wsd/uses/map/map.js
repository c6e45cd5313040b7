// Positions on a map: each person is a last value of one topic, and lives for as long as the page publishes it again.

import {Topics} from "/_wsd/wsd-topics.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {clamp} from "/uses/shared/geometry.js";
import {followDevice} from "/uses/shared/location.js";
import {followName, nameOf, person} from "/uses/shared/person.js";
import {throttled} from "/uses/shared/throttle.js";
import {World} from "/uses/shared/world.js";
import {tell} from "/uses/shared/wrong.js";
import {drawList, drawPerson, fade, removePerson} from "./people.js";
import "./words.js";

const TOPIC = "map/world";
const EVERY = 200; // ms between two positions while the pin is dragged
const HEARTBEAT = 10_000; // ms after which a position is published again
const FADES = 15_000; // ms without a word after which a person fades
const LIVES = 45_000; // ms after which a person is gone
const TRAIL = 45_000; // ms that a trail shows
const STEP = 12; // pixels that an arrow key moves the pin
const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

const element = (id) => document.getElementById(id);
const people = new Map(); // id to {id, name, lon, lat, trail, heard}
const me = person({lon: Math.random() * 200 - 100, lat: Math.random() * 80 - 25});
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
  people.set(id, {id, name: name.slice(0, 40), lon, lat, trail, heard: Date.now()});
  drawPerson(world, people.get(id), id === me.id);
}

// lesson: publish
async function publish() {
  const position = {name: nameOf(me), lon: me.lon, lat: me.lat, at: Date.now()};
  show({...position, id: me.id});
  try {
    await topics.publish(TOPIC, position, {key: me.id, ttl: LIVES / 1000});
    tell(null);
  } catch (error) {
    if (error.code === "full") tell("full");
  }
}

const publishSoon = throttled(publish, EVERY);
// end of lesson

// lesson: heartbeat
setInterval(() => topics.isOpen && publish(), HEARTBEAT);

setInterval(() => {
  for (const each of people.values()) {
    const silent = each.id === me.id ? 0 : Date.now() - each.heard;
    if (silent < LIVES) fade(each, Math.max(0, silent - FADES) / (LIVES - FADES));
    else if (people.delete(each.id)) removePerson(each);
  }
  drawList(people.values(), me.id);
}, 1000);
// end of lesson

// -- the pin -----------------------------------------------------------------------------------------------------------

const stopFollowing = followDevice(element("follow"), moveTo, tell);

function moveTo({lon, lat}) {
  me.lon = clamp(lon, -180, 180);
  me.lat = clamp(lat, -84, 84);
  const mine = people.get(me.id);
  const position = {lon: me.lon, lat: me.lat};
  drawPerson(world, {...mine, ...position, trail: [...mine.trail, position]}, true);
  publishSoon();
}

function moveByHand(position) {
  stopFollowing();
  moveTo(position);
}

world.onpick = moveByHand;
world.ondrag = moveByHand;
element("people").addEventListener("keydown", (event) => {
  if (!(event.key in STEPS) || !event.target.closest(".mine")) return;
  event.preventDefault();
  const [x, y] = STEPS[event.key].map((step) => step * STEP * world.unit);
  moveByHand({lon: me.lon + x, lat: me.lat - y});
});

document.addEventListener("language", () => {
  for (const each of people.values()) drawPerson(world, each, each.id === me.id);
  drawList(people.values(), me.id);
});
followName(me, publishSoon);
followTopics(topics);
publish();
drawList(people.values(), me.id);
