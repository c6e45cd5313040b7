// A feed: a topic for the posts of each person, which others subscribe to, and a topic for the likes of these posts.

import {create} from "/_wsd/element.js";
import {say} from "/_wsd/language.js";
import {upload} from "/_wsd/wsd-blob.js";
import {Topics} from "/_wsd/wsd-topics.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {beginCompose} from "./compose.js";
import {me} from "./me.js";
import {colorOf, Timeline} from "./timeline.js";
import "./words.js";

const RECENT = 50; // posts of a person that a newcomer gets
const MONTH = 30 * 24 * 3600; // seconds for which likes and people are kept
const PERSON = /^[\w-]{1,40}$/; // what a person may be called in the name of a topic
const element = (id) => document.getElementById(id);

const people = new Map(); // the names of those who have posted, by person
const followed = new Map(); // the subscriptions to their posts
const unfollowed = new Set(me.unfollowed);

const topics = new Topics(at("/uses/feed/topics/"));
const timeline = new Timeline(element("timeline"), like);
followTopics(topics);

// lesson: follow
function follow(person) {
  if (followed.has(person)) return;
  followed.set(person, topics.subscribe(`feed/posts/${person}`, {
    history: RECENT,
    onmessage: ({payload}) => timeline.add(person, payload),
  }));
}

function unfollow(person) {
  followed.get(person).close();
  followed.delete(person);
  timeline.remove(person);
}
// end of lesson

// lesson: people
topics.subscribe("feed/people", {
  last: true,
  onmessage: ({key: person = "", payload: name}) => {
    if (typeof name !== "string" || !PERSON.test(person)) return;
    people.set(person, name);
    if (!unfollowed.has(person)) follow(person);
    drawPeople();
  },
});
// end of lesson

// lesson: post
async function post({name, text, file, picture}, onprogress) {
  if (file) {
    const {url} = await upload(at("/blob"), file, {onprogress});
    picture = {...picture, url};
  }
  await topics.publish("feed/people", name, {key: me.id, ttl: MONTH, echo: true});
  const content = {id: crypto.getRandomValues(new Uint32Array(2)).join("-"), name, text, picture, at: Date.now()};
  await topics.publish(`feed/posts/${me.id}`, content, {echo: true});
}
// end of lesson

// lesson: like
topics.subscribe("feed/likes/+", {
  last: true,
  onmessage: ({key = "", payload}) => timeline.like(...key.split(" "), payload !== null),
  ongap: () => timeline.forgetLikes(), // all last values follow
});

async function like({author, id}, isLiked) {
  timeline.like(id, me.id, isLiked);
  await topics.publish(`feed/likes/${author}`, isLiked || null, {key: `${id} ${me.id}`, ttl: MONTH, echo: true});
}
// end of lesson

function drawPeople() {
  element("nobody").hidden = people.size > 0;
  const sorted = [...people].sort(([, one], [, other]) => one.localeCompare(other));
  const focused = document.activeElement?.dataset.person;
  element("people").replaceChildren(...sorted.map(([person, name]) => personOf(person, name)));
  if (focused) element("people").querySelector(`[data-person="${CSS.escape(focused)}"]`)?.focus();
}

function personOf(person, name) {
  const title = person === me.id ? say("you", {name}) : name;
  const badge = create("span", {className: `badge color-${colorOf(person)}`, textContent: [...name][0]});
  badge.setAttribute("aria-hidden", "true");
  const item = create("li", {}, badge, create("span", {className: "name", textContent: title}));
  if (person === me.id) return item;
  const key = followed.has(person) ? "unfollow" : "follow";
  const button = create("button", {type: "button", textContent: say(key)});
  button.dataset.person = person;
  button.setAttribute("aria-label", say(`${key}Person`, {name}));
  button.addEventListener("click", () => turn(person));
  item.append(button);
  return item;
}

function turn(person) {
  if (followed.has(person)) {
    unfollow(person);
    unfollowed.add(person);
  } else {
    unfollowed.delete(person);
    follow(person);
  }
  me.unfollowed = [...unfollowed];
  drawPeople();
}

follow(me.id);
beginCompose(post);
document.addEventListener("language", () => {
  drawPeople();
  timeline.draw();
});
