// A class: slides, a whiteboard, chat, raised hands and a poll. A token says who may do what, and the server checks it.

import {say} from "/_wsd/language.js";
import {Topics} from "/_wsd/wsd-topics.js";
import {Chat} from "/uses/shared/chat.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {followName, person, randomId} from "/uses/shared/person.js";
import {Poll} from "/uses/shared/poll.js";
import {presence} from "/uses/shared/presence.js";
import {Slides} from "/uses/shared/slides.js";
import {throttled} from "/uses/shared/throttle.js";
import {Board} from "./board.js";
import {headOf, People} from "./people.js";
import "./words.js";

const RENAMED = 300; // ms between two names that are published while one is typed
const element = (id) => document.getElementById(id);

const mine = person({secret: randomId()}); // the secret says who we are

/** A token of the class, or with {pen: user} one that lets a pupil paint for a while. */
async function askToken(more = {}) {
  // lesson: token
  const url = new URL(at("/uses/class/token"));
  url.search = new URLSearchParams({...(room && {class: room}), ...more});
  const answer = await fetch(url, {headers: {Authorization: `Bearer ${mine.secret}`}});
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
  // end of lesson
}

let room = new URLSearchParams(location.search).get("class"); // without one, a new class begins, and we teach
const me = await askToken().catch(showProblem);
room = me.class;
const isTeacher = me.user === room;
// lesson: topics
const topics = new Topics(at("/uses/class/topics/"), {token: async () => (await askToken()).token});
// end of lesson

// What the teacher alone may publish. `last` gives it to latecomers.
// lesson: lesson
topics.subscribe(`${room}/lesson`, {
  last: true,
  onmessage: ({key, payload}) => {
    if (key === "slide") slides.turn(payload.at);
    else if (key === "deck") slides.use(payload);
    else if (key === "poll") poll.show(payload);
  },
});

function teach(key, payload) {
  return topics.publish(`${room}/lesson`, payload, {key, echo: true});
}
// end of lesson

/** What everyone says is published below their own name, where nobody else may publish but the teacher. */
// lesson: own
function publish(kind, payload, {user = me.user, key = kind} = {}) {
  return topics.publish(`${room}/by/${user}/${kind}`, {...payload, at: Date.now()}, {echo: true, key});
}

function listen(kind, take) {
  const onmessage = ({topic, payload, position}) => payload && take(topic.split("/")[2], payload, position);
  topics.subscribe(`${room}/by/+/${kind}`, {last: true, onmessage});
}
// end of lesson

listen("chat", (user, message, position) => chat.take(user, message, position));
listen("hand", (user, hand) => people.raise(user, hand));
listen("vote", (user, vote) => poll.count(user, vote));

/** The teacher gives the pen: a token that lets this pupil paint, sent to that pupil alone. */
// lesson: pen
async function givePen(user, member) {
  const {token, seconds} = await askToken({pen: user});
  await topics.direct(`${room}/people`, member, {pen: token, seconds});
}

topics.addEventListener("direct", ({detail}) => board.takePen(detail.payload.pen, detail.payload.seconds));
// end of lesson

function enter() {
  return topics.enter(`${room}/people`, {name: mine.name.trim()});
}

function showProblem(error) {
  element("problem").textContent = error.message;
  element("room").hidden = true;
  throw error;
}

function drawRole() {
  element("role").textContent = say(isTeacher ? "youTeach" : "youLearn");
}

const turn = (slide) => teach("slide", {at: slide});
const slides = new Slides({mayTurn: isTeacher, sample: () => say("sample"), turn, use: (deck) => teach("deck", deck)});
const ask = (asked) => teach("poll", asked);
const poll = new Poll({isAsker: isTeacher, user: me.user, ask, vote: (vote) => publish("vote", vote)});
const send = (text, key) => publish("chat", {text, name: mine.name.trim()}, {key});
const chat = new Chat({user: me.user, send, headOf: (message) => headOf(message, room)});
const raise = (isUp, user) => publish("hand", {isUp}, {user});
const people = new People({room, user: me.user, raise, givePen});
const board = new Board({room, isTeacher, askToken});

document.body.classList.toggle("teaches", isTeacher);
history.replaceState(null, "", `?class=${room}`);
topics.subscribe(`${room}/people`, presence(people.present, () => people.draw()));
followTopics(topics);
followName(mine, throttled(enter, RENAMED));
drawRole();
document.addEventListener("language", drawRole);
enter();
document.body.dataset.ready = "";
