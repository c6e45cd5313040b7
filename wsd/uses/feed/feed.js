// A feed: a topic for the posts of each person, which others subscribe to, and a topic for the likes of these posts.

import {create} from "/_wsd/element.js";
import {say} from "/_wsd/language.js";
import {Topics} from "/_wsd/wsd-topics.js";
import {avatarOf} from "/uses/shared/avatar.js";
import {sendText} from "/uses/shared/compose.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {buttonOf, drawList} from "/uses/shared/list.js";
import {followName, nameOf, person, randomId, titleOf} from "/uses/shared/person.js";
import {PictureField} from "/uses/shared/picture.js";
import {tell} from "/uses/shared/wrong.js";
import {Timeline} from "./timeline.js";
import "./words.js";

const RECENT = 50; // posts of a person that a newcomer gets
const MONTH = 30 * 24 * 3600; // seconds for which likes and people are kept
const PERSON = /^[\w-]{1,40}$/; // what a person may be called in the name of a topic
const element = (id) => document.getElementById(id);

const me = person({unfollowed: []});
const people = new Map(); // the names of those who have posted, by person
const followed = new Map(); // the subscriptions to their posts

const topics = new Topics(at("/uses/feed/topics/"));
const timeline = new Timeline({me: me.id, onlike: like});
const pictureField = new PictureField(element("compose"));

// lesson: follow
function follow(author) {
  if (followed.has(author)) return;
  followed.set(author, topics.subscribe(`feed/posts/${author}`, {
    history: RECENT,
    onmessage: ({payload}) => timeline.add(author, payload),
  }));
}

function unfollow(author) {
  followed.get(author).close();
  followed.delete(author);
  timeline.remove(author);
}
// end of lesson

// lesson: people
topics.subscribe("feed/people", {
  last: true,
  onmessage: ({key: author = "", payload: name}) => {
    if (typeof name !== "string" || !PERSON.test(author)) return;
    people.set(author, name);
    if (!me.unfollowed.includes(author)) follow(author);
    drawPeople();
  },
});
// end of lesson

// lesson: post
async function post(text) {
  const picture = await pictureField.upload();
  const name = nameOf(me);
  await topics.publish("feed/people", name, {key: me.id, ttl: MONTH, echo: true});
  const content = {id: randomId(), name, text, picture, at: Date.now()};
  await topics.publish(`feed/posts/${me.id}`, content, {echo: true});
}
// end of lesson

// lesson: like
topics.subscribe("feed/likes/+", {
  last: true,
  onmessage: ({key = "", payload}) => timeline.like(...key.split(" "), payload !== null),
  ongap: () => timeline.forgetLikes(), // all last values follow
});

function publishLike({author, id}, isLiked) {
  return topics.publish(`feed/likes/${author}`, isLiked || null, {key: `${id} ${me.id}`, ttl: MONTH, echo: true});
}
// end of lesson

function like(post, isLiked) {
  timeline.like(post.id, me.id, isLiked);
  publishLike(post, isLiked).catch((error) => {
    timeline.like(post.id, me.id, !isLiked);
    tell("notLiked", {reason: error.message});
  });
}

async function submit(text) {
  tell("posting", {}, "quiet");
  await post(text);
  tell(null);
}

function drawPeople() {
  const sorted = [...people].sort(([, one], [, other]) => one.localeCompare(other));
  drawList(element("people"), sorted.map(([author, name]) => rowOf(author, name)));
  element("nobody").hidden = people.size > 0;
}

function rowOf(author, name) {
  const isMe = author === me.id;
  const row = create("li", {}, avatarOf(author, name),
    create("span", {className: "name", textContent: titleOf(name, isMe)}));
  const key = followed.has(author) ? "unfollow" : "follow";
  if (!isMe) row.append(buttonOf(author, say(key), () => turn(author), say(`${key}Person`, {name})));
  return row;
}

function turn(author) {
  const isFollowed = followed.has(author);
  me.unfollowed = isFollowed ? [...me.unfollowed, author] : me.unfollowed.filter((each) => each !== author);
  if (isFollowed) unfollow(author);
  else follow(author);
  drawPeople();
}

follow(me.id);
followName(me, () => {});
followTopics(topics);
sendText(element("compose"), element("text"), submit, () => pictureField.isFilled);
document.addEventListener("language", drawPeople);
