// Makes this page slow on purpose: its thread computes for a part of each tenth of a second.

const TURN = 100; // milliseconds

let share = 0;

function compute() {
  const end = performance.now() + TURN * share;
  while (performance.now() < end);
}

let timer = null;

/** Keeps the thread of the page busy for that percentage of the time. */
export function beBusy(percent) {
  share = percent / 100;
  clearInterval(timer);
  timer = share ? setInterval(compute, TURN) : null;
}
