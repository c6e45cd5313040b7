// A class: slides, a whiteboard, chat, raised hands and a poll. A token says who may do what, and the server checks it.

import {Topics} from "/_wsd/wsd-topics.js";
import {say} from "/_wsd/language.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {kept} from "/uses/shared/kept.js";
import {Board} from "./board.js";
import {Chat} from "./chat.js";
import {People} from "./people.js";
import {Poll} from "./poll.js";
import {Slides} from "./slides.js";
import "./words.js";

const element = (id) => document.getElementById(id);

const digits = Array.from(crypto.getRandomValues(new Uint8Array(20)), (byte) => byte.toString(16).padStart(2, "0"));
const mine = kept({secret: digits.join(""), name: ""}); // the secret says who we are

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
    if (key === "slide") slides.turn(payload);
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

topics.subscribe(`${room}/people`, {
  onmembers: (members) => people.are(members),
  onpresence: (event) => people.change(event),
});

function enter() {
  return topics.enter(`${room}/people`, {name: mine.name});
}

/** The teacher gives the pen: a token that lets this pupil paint, sent to that pupil alone. */
// lesson: pen
async function givePen(user, member) {
  const {token, seconds} = await askToken({pen: user});
  await topics.direct(`${room}/people`, member, {pen: token, seconds});
}

topics.addEventListener("direct", ({detail}) => board.takePen(detail.payload.pen, detail.payload.seconds));
// end of lesson

function showProblem(error) {
  element("problem").textContent = error.message;
  element("room").hidden = true;
  throw error;
}

function drawRole() {
  element("role").textContent = say(isTeacher ? "youTeach" : "youLearn");
}

const slides = new Slides(isTeacher, teach);
const poll = new Poll(isTeacher, me.user, teach, publish);
const chat = new Chat(room, me.user, (text, key) => publish("chat", {text, name: mine.name}, {key}));
const people = new People({
  room,
  user: me.user,
  raise: (isUp, user) => publish("hand", {isUp}, {user}),
  givePen,
});
const board = new Board({room, isTeacher, askToken});

document.body.classList.toggle("teaches", isTeacher);
history.replaceState(null, "", `?class=${room}`);
element("name").value = mine.name;
element("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  mine.name = element("name").value.trim();
  enter();
});
followTopics(topics);
drawRole();
document.addEventListener("language", drawRole);
enter();
board.connect();
document.body.dataset.ready = "";
