// The posts of a timeline, the newest first.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {avatarOf} from "/uses/shared/avatar.js";
import {imageOf} from "/uses/shared/picture.js";
import {ReadingPlace} from "/uses/shared/place.js";
import {drawAgo} from "/uses/shared/time.js";

const element = (id) => document.getElementById(id);

export class Timeline {
  #list = element("timeline");
  #posts = new Map(); // by id: {post, card}
  #likes = new Map(); // by id of a post: the people who like it
  #place;
  #options;

  /** Options: `me`, our id, and `onlike(post, isLiked)`, which is called when we like a post, or do not any more. */
  constructor(options) {
    this.#options = options;
    const newerOf = (count) => say("newer", {count: formatNumber(count)});
    this.#place = new ReadingPlace(this.#list, element("timeline-title"), element("newer"), newerOf);
    document.addEventListener("language", () => this.draw());
    setInterval(() => this.draw(), 30_000);
  }

  /** A post has come, or come again. Others may have sent anything. */
  add(author, payload) {
    const isPost = ["id", "name", "text"].every((key) => typeof payload?.[key] === "string");
    if (!isPost || this.#posts.has(payload.id)) return;
    const post = {...payload, author, at: Math.min(Number(payload.at) || 0, Date.now())};
    const {me, onlike} = this.#options;
    const card = cardOf(post, () => onlike(post, !this.#likersOf(post.id).has(me)));
    this.#posts.set(post.id, {post, card});
    this.#drawCard({post, card});
    const next = [...this.#list.children].find((each) => Number(each.dataset.at) <= post.at);
    this.#place.insert(card, next ?? null, author !== me);
    element("empty").hidden = true;
  }

  /** Removes the posts of a person. */
  remove(author) {
    for (const [id, {post, card}] of this.#posts) {
      if (post.author !== author) continue;
      card.remove();
      this.#posts.delete(id);
    }
    element("empty").hidden = this.#posts.size > 0;
  }

  /** A person likes a post, or does not any more. */
  like(id, person, isLiked) {
    if (isLiked) this.#likersOf(id).add(person);
    else this.#likersOf(id).delete(person);
    if (this.#posts.has(id)) this.#drawCard(this.#posts.get(id));
  }

  forgetLikes() {
    this.#likes.clear();
    this.draw();
  }

  /** Draws again what changes with time and language. */
  draw() {
    for (const each of this.#posts.values()) this.#drawCard(each);
  }

  #likersOf(id) {
    if (!this.#likes.has(id)) this.#likes.set(id, new Set());
    return this.#likes.get(id);
  }

  #drawCard({post, card}) {
    const people = this.#likersOf(post.id);
    const heart = card.querySelector(".like");
    heart.textContent = people.size ? say("likes", {count: formatNumber(people.size)}) : say("like");
    heart.setAttribute("aria-pressed", String(people.has(this.#options.me)));
    drawAgo(card.querySelector("time"), post.at);
  }
}

function cardOf({author, name, text, picture, at}, onlike) {
  const head = create("div", {className: "head"}, avatarOf(author, name),
    create("strong", {className: "name", textContent: name}), create("time", {className: "quiet"}));
  const heart = create("button", {type: "button", className: "like"});
  heart.addEventListener("click", onlike);
  const card = create("li", {className: "panel post"}, head,
    create("p", {className: "text typed", lang: "", textContent: text}),
    imageOf(picture) ?? "", create("div", {className: "foot"}, heart));
  card.dataset.at = at;
  return card;
}
