// The posts of a timeline, the newest first.

import {create} from "/_wsd/element.js";
import {formatNumber, language, say} from "/_wsd/language.js";
import {at} from "/uses/shared/frame.js";
import {me} from "./me.js";

const element = (id) => document.getElementById(id);

/** A colour for a person, one of eight. */
export function colorOf(person) {
  return [...person].reduce((sum, letter) => (sum * 31 + letter.codePointAt()) % 1024, 0) % 8;
}

export class Timeline {
  #posts = new Map(); // by id: {post, card}
  #likes = new Map(); // by id of a post: the people who like it
  #newer = 0; // posts that have come above what is being read

  constructor(list, onlike) {
    this.list = list;
    this.onlike = onlike;
    element("newer").addEventListener("click", () => this.#showNewer());
    addEventListener("scroll", () => this.#count(0), {passive: true});
    setInterval(() => this.#drawTimes(), 30_000);
  }

  /** A post has come, or come again. Others may have sent anything. */
  add(author, payload) {
    const isPost = ["id", "name", "text"].every((key) => typeof payload?.[key] === "string");
    if (!isPost || this.#posts.has(payload.id)) return;
    const post = {...payload, author, at: Math.min(Number(payload.at) || 0, Date.now())};
    const card = this.#cardOf(post);
    this.#posts.set(post.id, {post, card});
    const next = [...this.list.children].find((each) => Number(each.dataset.at) <= post.at);
    const isAbove = this.#keepPlace(() => this.list.insertBefore(card, next ?? null), card);
    if (isAbove && author !== me.id) this.#count(1);
    element("empty").hidden = true;
  }

  /** Changes the list, and leaves what is being read where it is. Returns whether the new card is above it. */
  #keepPlace(change, card) {
    // lesson: place
    const read = [...this.list.children].find((each) => each.getBoundingClientRect().bottom > 0);
    const isAtTop = this.list.getBoundingClientRect().top >= 0;
    const before = read?.getBoundingClientRect().top;
    change();
    if (isAtTop || !read) return false;
    scrollBy({top: read.getBoundingClientRect().top - before, behavior: "instant"});
    // end of lesson
    return card.getBoundingClientRect().bottom <= 0;
  }

  /** Forget the posts of a person. */
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
    const people = this.#likes.get(id) ?? new Set();
    this.#likes.set(id, people);
    if (isLiked) people.add(person);
    else people.delete(person);
    if (this.#posts.has(id)) this.#drawLikes(this.#posts.get(id));
  }

  forgetLikes() {
    this.#likes.clear();
    for (const each of this.#posts.values()) this.#drawLikes(each);
  }

  /** Draw again what depends on the language. */
  draw() {
    this.#count(0);
    this.#drawTimes();
    for (const each of this.#posts.values()) this.#drawLikes(each);
  }

  #count(more) {
    const isAtTop = this.list.getBoundingClientRect().top >= 0;
    this.#newer = isAtTop ? 0 : this.#newer + more;
    element("newer").hidden = this.#newer === 0;
    element("newer").textContent = say("newer", {count: formatNumber(this.#newer)});
  }

  #showNewer() {
    element("timeline-title").scrollIntoView({block: "start"});
    element("timeline-title").focus({preventScroll: true});
    this.#count(0);
  }

  #cardOf(post) {
    const badge = create("span", {className: `badge color-${colorOf(post.author)}`, textContent: [...post.name][0] ?? ""});
    badge.setAttribute("aria-hidden", "true");
    const head = create("div", {className: "head"},
      badge, create("strong", {className: "name", textContent: post.name}), create("time", {className: "quiet"}));
    const text = create("p", {className: "text typed", lang: "", textContent: post.text});
    const heart = create("button", {type: "button", className: "like"});
    heart.addEventListener("click", () => this.#pressed(post));
    const card = create("li", {className: "panel post"}, head, text,
      ...pictureOf(post.picture), create("div", {className: "foot"}, heart));
    card.dataset.at = post.at;
    this.#drawLikes({post, card});
    drawTime(card);
    return card;
  }

  #pressed(post) {
    const isLiked = this.#likes.get(post.id)?.has(me.id) ?? false;
    this.onlike(post, !isLiked).catch((error) => {
      this.like(post.id, me.id, isLiked);
      element("progress").textContent = say("notLiked", {reason: error.message});
    });
  }

  #drawLikes({post, card}) {
    const people = this.#likes.get(post.id) ?? new Set();
    const heart = card.querySelector(".like");
    heart.textContent = people.size ? say("likes", {count: formatNumber(people.size)}) : say("like");
    heart.setAttribute("aria-pressed", String(people.has(me.id)));
  }

  #drawTimes() {
    for (const {card} of this.#posts.values()) drawTime(card);
  }
}

/** The picture of a post, in its place. Only files of this server's are shown. */
function pictureOf(picture) {
  if (!/^\/blob\/[0-9a-f]+$/.test(picture?.url)) return [];
  const [width, height] = [Number(picture.width) || 1, Number(picture.height) || 1];
  const image = create("img", {width, height, loading: "lazy", alt: String(picture.alt ?? "")});
  image.crossOrigin = "anonymous"; // so that /blob knows whose page asks, if the page comes from another server
  image.src = at(picture.url);
  return [image];
}

function drawTime(card) {
  const time = card.querySelector("time");
  const then = new Date(Number(card.dataset.at));
  const minutes = Math.floor((Date.now() - then) / 60_000);
  const [value, unit] = minutes < 1 ? [0, "second"] : minutes < 60 ? [minutes, "minute"]
    : minutes < 1440 ? [Math.floor(minutes / 60), "hour"] : [Math.floor(minutes / 1440), "day"];
  time.textContent = new Intl.RelativeTimeFormat(language(), {numeric: "auto"}).format(-value, unit);
  time.dateTime = then.toISOString();
  time.title = new Intl.DateTimeFormat(language(), {dateStyle: "medium", timeStyle: "short"}).format(then);
}
