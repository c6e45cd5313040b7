// A game: the page shows its own steps at once and everyone else a moment late, and the server decides.

import {say} from "/_wsd/language.js";
import {showConnection, socketAt} from "/uses/shared/frame.js";
import {kept} from "/uses/shared/kept.js";
import {Controls} from "./controls.js";
import {Field} from "./field.js";
import {Scores} from "./scores.js";
import "./words.js";

const BEHIND = 100; // ms by which the others are shown late, so that there is a state of the server before and after
const FAR = 40; // units between where we thought we were and where the server says: a move that was not accepted

const element = (id) => document.getElementById(id);
const controls = new Controls(element("field"), element("dash"));
const field = new Field(element("field"));
const scores = new Scores();
// By its key a player who comes back has the score again.
const player = kept({name: "", key: crypto.getRandomValues(new Uint32Array(4)).join("")});

let socket = null;
let rules = null; // the server's constants
let own = null; // our id
let self = null; // where we are, by our own steps; null while all places are taken
let jump = {x: 0, y: 0}; // from where we are to where we are shown, after a correction
let unmade = []; // our steps that the server has not made yet
let number = 0; // of our last step
let due = 0; // when our next step is due
let states = []; // what the server said of each tick, with the time `at` here
let behind = Infinity; // ms from the server's time to ours
let ping = null;

// lesson: predict
/** Makes one step of ours, and shows it without waiting for the server. */
function step() {
  const next = [++number, ...controls.read()];
  send("step", next);
  unmade.push(next);
  move(self, next);
}
// end of lesson

/** Moves a player by one step, exactly as play.py does. */
function move(player, [, x, y, dash]) {
  const wears = states.at(-1)?.crown === own;
  if (player.rest) player.rest -= 1;
  else if (dash && !wears) player.rest = rules.rest;
  const isDashing = player.rest > rules.rest - rules.dashing;
  const pace = (isDashing ? rules.dash : wears ? rules.crowned : rules.speed) / Math.max(1, Math.hypot(x, y));
  player.x += x * pace;
  player.y += y * pace;
  for (const [left, top, radius] of rules.pillars) {
    const away = Math.hypot(player.x - left, player.y - top);
    const reach = radius + rules.radius;
    if (away === 0 || away >= reach) continue;
    player.x = left + ((player.x - left) / away) * reach;
    player.y = top + ((player.y - top) / away) * reach;
  }
  player.x = Math.min(Math.max(player.x, rules.radius), rules.width - rules.radius);
  player.y = Math.min(Math.max(player.y, rules.radius), rules.height - rules.radius);
}

// lesson: correct
/** Begins from where the server says we are, and makes the steps again that it has not made yet. */
function correct([, x, y, rest, made]) {
  const thought = self;
  self = {x, y, rest};
  unmade = unmade.filter(([each]) => each > made);
  for (const each of unmade) move(self, each);
  if (thought === null) return;
  const [right, down] = [thought.x - self.x, thought.y - self.y];
  if (Math.hypot(right, down) > FAR) scores.corrected();
  jump = {x: jump.x + right, y: jump.y + down};
}
// end of lesson

// lesson: interpolate
/** Where everyone else was a moment ago: between two states of the server. */
function othersAt(time) {
  while (states.length > 2 && states[1].at <= time) states.shift();
  const [before, after] = states;
  if (!after) return before.players;
  const part = Math.min(Math.max((time - before.at) / (after.at - before.at), 0), 1);
  return after.players.map(([id, x, y, rest]) => {
    const [, fromX, fromY] = before.players.find((each) => each[0] === id) ?? [id, x, y];
    return [id, fromX + (x - fromX) * part, fromY + (y - fromY) * part, rest];
  });
}
// end of lesson

/** A state of the server: remember it by its own time, since the network delivers unevenly. */
function take(state) {
  const sent = state.tick * rules.tick * 1000;
  const lag = performance.now() - sent;
  behind = lag < behind || lag > behind + 250 ? lag : Math.min(lag, behind + 0.5);
  states.push({...state, at: sent + behind});
  if (states.length > 60) states = states.slice(-3);
  const row = state.players.find(([id]) => id === own);
  if (row) correct(row);
  scores.showTime(state.left);
}

function frame(now) {
  requestAnimationFrame(frame);
  if (!states.length) return;
  for (due = Math.max(due, now - 200); self && due <= now; due += rules.tick * 1000) step();
  const players = othersAt(now - BEHIND).filter(([id]) => id !== own);
  jump = {x: jump.x * 0.8, y: jump.y * 0.8};
  if (self) players.push([own, self.x + jump.x, self.y + jump.y, self.rest]);
  field.draw({rules, players, own, crown: states.at(-1).crown, names: scores.names});
}

function send(kind, value) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({[kind]: value}));
}

function connect() {
  socket = new WebSocket(socketAt("/uses/game/play"));
  socket.onopen = () => {
    showConnection(true);
    const {name, key} = player;
    send("join", {name: name || say("player", {number: key.slice(-2)}), key});
  };
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data);
    if (message.welcome) {
      ({id: own, ...rules} = message.welcome);
      [self, unmade, states, behind] = [null, [], [], Infinity];
      scores.own = own;
    } else if (message.people) scores.show(message.people);
    else if (message.pong) ping = Math.round(performance.now() - message.pong);
    else take(message);
  };
  socket.onclose = () => {
    showConnection(false);
    setTimeout(connect, 1000);
  };
}

/** A move that the rules do not allow: the page believes it, the server does not. */
function cheat() {
  const {crown, players} = states.at(-1);
  const [x, y] = Array.isArray(crown) ? crown : players.find(([id]) => id === crown).slice(1);
  send("step", [++number, 1000 * (x - self.x), 1000 * (y - self.y), true]);
  self = {...self, x, y};
}

element("cheat").addEventListener("click", () => self && cheat());
element("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  player.name = element("name").value.trim();
  socket.onclose = connect; // and join again
  socket.close();
});
element("name").value = player.name;
setInterval(() => send("ping", [performance.now(), ping]), 1000);
connect();
requestAnimationFrame(frame);
