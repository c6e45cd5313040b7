// A game: the page shows its own steps at once and everyone else a moment late, and the server decides.

import {showConnection, socketAt} from "/uses/shared/frame.js";
import {clamp, moveOut} from "/uses/shared/geometry.js";
import {followName, nameOf, person} from "/uses/shared/person.js";
import {Prediction} from "/uses/shared/prediction.js";
import {Socket} from "/uses/shared/socket.js";
import {States} from "/uses/shared/states.js";
import {Stick} from "/uses/shared/stick.js";
import {drawField} from "./field.js";
import {addCorrection, names, showPeople, showTime} from "./scores.js";
import "./words.js";

const BEHIND = 100; // ms by which the others are shown late, so that there is a state of the server before and after
const FAR = 40; // units by which we are wrong after a move that the server has not accepted

const element = (id) => document.getElementById(id);
const me = person(); // by its id, a player who comes back has the score again
const stick = new Stick(element("field"), element("dash"));
const states = new States();
const prediction = new Prediction(move);

let rules = null; // the server's constants
let own = null; // our id in the game
let due = 0; // when our next step is due
let ping = null;

/** Moves a player by one step, exactly as play.py does. */
function move(player, [, x, y, dash]) {
  const wears = states.newest?.crown === own;
  if (player.rest) player.rest -= 1;
  else if (dash && !wears) player.rest = rules.rest;
  const isDashing = player.rest > rules.rest - rules.dashing;
  const pace = (isDashing ? rules.dash : wears ? rules.crowned : rules.speed) / Math.max(1, Math.hypot(x, y));
  player.x += x * pace;
  player.y += y * pace;
  for (const [left, top, radius] of rules.pillars) moveOut(player, [left, top, radius + rules.radius]);
  player.x = clamp(player.x, rules.radius, rules.width - rules.radius);
  player.y = clamp(player.y, rules.radius, rules.height - rules.radius);
}

// lesson: interpolate
/** Where everyone else was a moment ago: between two states of the server. */
function othersAt(time) {
  const {before, after, part} = states.around(time);
  return after.players.filter(([id]) => id !== own).map(([id, x, y, rest]) => {
    const [, fromX, fromY] = before.players.find((each) => each[0] === id) ?? [id, x, y];
    return [id, fromX + (x - fromX) * part, fromY + (y - fromY) * part, rest];
  });
}
// end of lesson

function take(state) {
  states.add(state, state.tick * rules.tick * 1000);
  const row = state.players.find(([id]) => id === own); // none while all places are taken
  if (row) {
    const [, x, y, rest, made] = row;
    if (prediction.correct({x, y, rest}, made) > FAR) addCorrection();
  }
  showTime(state.left);
}

function frame(now) {
  requestAnimationFrame(frame);
  if (!states.newest) return;
  const players = othersAt(now - BEHIND);
  // lesson: predict
  if (prediction.self) {
    for (due = Math.max(due, now - 200); due <= now; due += rules.tick * 1000) {
      socket.sendJson({step: prediction.step(stick.read())});
    }
    const {x, y, rest} = prediction.show();
    players.push([own, x, y, rest]);
  }
  // end of lesson
  drawField(element("field"), {rules, players, own, crown: states.newest.crown, names});
}

// -- the server --------------------------------------------------------------------------------------------------------

const socket = new Socket({
  open: () => new WebSocket(socketAt("/uses/game/play")),
  onopen: () => {
    showConnection(true);
    socket.sendJson({join: {name: nameOf(me), key: me.id}});
  },
  onmessage: (data) => heard(JSON.parse(data)),
  onclose: () => showConnection(false),
});

function heard(message) {
  if (message.welcome) {
    ({id: own, ...rules} = message.welcome);
    prediction.clear();
    states.clear();
  } else if (message.people) showPeople(message.people, own);
  else if (message.pong) ping = Math.round(performance.now() - message.pong);
  else take(message);
}

/** A move that the rules do not allow: the page believes it, the server does not. */
function cheat() {
  const {crown, players} = states.newest;
  const [x, y] = Array.isArray(crown) ? crown : players.find(([id]) => id === crown).slice(1);
  const {self} = prediction;
  socket.sendJson({step: prediction.step([1000 * (x - self.x), 1000 * (y - self.y), true])});
  Object.assign(self, {x, y});
}

element("cheat").addEventListener("click", () => prediction.self && cheat());
element("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  socket.reconnect(); // and join again
});
followName(me, () => {});
setInterval(() => socket.sendJson({ping: [performance.now(), ping]}), 1000);
requestAnimationFrame(frame);
