// Live scores: the same topic by WebSocket and by server-sent events, side by side.

import {Topics} from "/_wsd/wsd-topics.js";
import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {at, followTopics} from "/uses/shared/frame.js";
import {clockOf} from "/uses/shared/time.js";
import {beginDesk} from "./desk.js";
import "./words.js";

const MATCH = "scores/match";
const SHOWN = 6; // events on a board
const RECENT = 20; // messages that a late comer gets

/** What is known of the match, drawn into one of the two boards. */
class Board {
  score = {home: 0, away: 0, at: 0};
  clock = {since: null, played: 0, at: 0}; // when it was started, or null; milliseconds played before that
  events = [];
  begun = 0; // when the match was begun
  newest = null; // {written, arrived} of the newest message that has come since the page was opened

  constructor(id) {
    this.place = document.getElementById(id);
  }

  /** A message has come: the last value of a key, or an event. */
  take({key, payload, position}) {
    if (payload === null) return;
    // The last values come first, and then the history, which may have older ones.
    if ((key === "score" || key === "clock") && payload.at >= this[key].at) this[key] = payload;
    if (payload.isNew) this.begun = Math.max(this.begun, payload.at);
    if (payload.text !== undefined && !this.events.some((each) => each.position === position)) {
      this.events = [{...payload, position}, ...this.events];
    }
    const ours = this.events.filter(({at}) => at >= this.begun);
    this.events = ours.sort((one, other) => other.at - one.at).slice(0, SHOWN);
    if (payload.at >= (this.newest?.written ?? 0)) this.newest = {written: payload.at, arrived: Date.now()};
    this.draw();
  }

  /** Milliseconds on the clock. */
  get played() {
    const {since, played} = this.clock;
    return played + (since === null ? 0 : Math.max(0, Date.now() - since));
  }

  draw() {
    for (const side of ["home", "away"]) this.place.querySelector(`.${side}`).textContent = this.score[side];
    this.place.querySelector(".events").replaceChildren(...this.events.map(({text, minute}) => create("li", {},
      create("span", {className: "minute", textContent: `${minute}'`}), " ",
      create("span", {className: "typed", textContent: textOf(text)}))));
    this.tick();
  }

  /** What changes with time alone. */
  tick() {
    this.place.querySelector(".clock").textContent = clockOf(this.played / 1000).padStart(5, "0");
    if (this.newest === null) {
      this.place.querySelector(".since").textContent = say("nothing");
      return;
    }
    const {written, arrived} = this.newest;
    const seconds = Math.floor(Math.max(0, Date.now() - written) / 1000);
    const values = {seconds: formatNumber(seconds), delay: formatNumber(Math.max(0, arrived - written))};
    // What was written before this page was opened did not travel all that time.
    this.place.querySelector(".since").textContent = say(written < opened ? "sinceOnly" : "since", values);
  }
}

/** Goals are published by a key of their text, so that everyone reads them in their own language. */
function textOf(text) {
  return text === "homeGoal" || text === "awayGoal" ? say(text) : text;
}

const opened = Date.now();
const boards = [new Board("by-websocket"), new Board("by-sse")];

// lesson: websocket
const topics = new Topics(at("/uses/topics/"));
topics.subscribe(MATCH, {last: true, history: RECENT, onmessage: (message) => boards[0].take(message)});
// end of lesson

// lesson: sse
function listen() {
  const source = new EventSource(at(`/uses/topics/${MATCH}?last&history=${RECENT}&envelope`));
  source.onmessage = ({data}) => {
    const {key, data: payload, position} = JSON.parse(data).message;
    boards[1].take({key, payload, position});
  };
  source.onerror = () => {
    // The browser tries again by itself, unless the server has refused: while it starts, for example.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
  };
}

listen();
// end of lesson

followTopics(topics);
beginDesk(topics, MATCH, boards[0]);
setInterval(() => boards.forEach((board) => board.tick()), 250);
document.addEventListener("language", () => boards.forEach((board) => board.draw()));
boards.forEach((board) => board.draw());
