// The desk, where one person at a time writes.

import {say} from "/_wsd/language.js";
import {sendText} from "/uses/shared/compose.js";
import {presence} from "/uses/shared/presence.js";

const DESK = "scores/desk";
const element = (id) => document.getElementById(id);

export function beginDesk(topics, match, board) {
  const me = Math.random(); // the id of a member changes with each connection, and its state does not
  const present = new Map(); // those at the desk, in the order in which they came

  function draw() {
    const isMine = [...present.values()][0]?.state === me;
    const isTaken = present.size > 0 && !isMine;
    element("controls").hidden = !isMine;
    element("take").hidden = isTaken;
    element("take").dataset.say = isMine ? "leave" : "take";
    element("take").textContent = say(element("take").dataset.say);
    element("desk-state").textContent = say(isMine ? "mine" : isTaken ? "taken" : "free");
    element("clock").dataset.say = board.clock.since === null ? "start" : "stop";
    element("clock").textContent = say(element("clock").dataset.say);
  }

  // lesson: desk
  topics.subscribe(DESK, presence(present, draw));

  function take() {
    if ([...present.values()].some(({state}) => state === me)) topics.leave(DESK);
    else topics.enter(DESK, me);
  }
  // end of lesson

  // lesson: publish
  function publish(payload, key) {
    return topics.publish(match, {...payload, at: Date.now()}, {key, echo: true});
  }

  function tell(text) {
    return publish({text, minute: Math.floor(board.played / 60_000) + 1});
  }

  function goal(side) {
    const {home, away} = board.score;
    publish({home, away, [side]: board.score[side] + 1}, "score");
    tell(`${side}Goal`);
  }
  // end of lesson

  function turnClock() {
    const {since} = board.clock;
    publish({since: since === null ? Date.now() : null, played: board.played}, "clock").then(draw);
  }

  function beginMatch() {
    publish({home: 0, away: 0, isNew: true}, "score");
    publish({since: null, played: 0}, "clock").then(draw);
  }

  element("take").addEventListener("click", take);
  element("clock").addEventListener("click", turnClock);
  element("new").addEventListener("click", beginMatch);
  for (const button of document.querySelectorAll("[data-goal]")) {
    button.addEventListener("click", () => goal(button.dataset.goal));
  }
  sendText(element("controls"), element("event"), tell);
  document.addEventListener("language", draw);
  draw();
}
