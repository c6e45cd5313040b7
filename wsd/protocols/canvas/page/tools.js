// The tools below a canvas, and their keys.

import {addWords} from "/_wsd/language.js";

const COLOURS = [
  ["black", "#1b1f24"], ["grey", "#8a929c"], ["red", "#d92d20"], ["orange", "#ef7d00"], ["yellow", "#f5c400"],
  ["green", "#1a7f37"], ["blue", "#1559b7"], ["purple", "#8250df"], ["brown", "#8b5a2b"], ["white", "#ffffff"],
];
const BEGINNING = "blue";
const element = (id) => document.getElementById(id);

/** The brush that is chosen. */
export function brush() {
  return {
    colour: element("colour").value,
    width: Number(element("brush").value),
    isEraser: element("eraser").getAttribute("aria-pressed") === "true",
  };
}

function chooseColour(colour) {
  element("colour").value = colour;
  for (const each of document.querySelectorAll("input[name=ink]")) each.checked = each.value === colour;
  useEraser(false);
}

function useEraser(isUsed) {
  element("eraser").setAttribute("aria-pressed", String(isUsed));
}

function resize(width) {
  const range = element("brush");
  range.value = width;
  element("brush-size").value = range.value;
}

/** Steps are small for small brushes. */
function stepOf(width) {
  return width < 10 ? 1 : width < 30 ? 2 : 5;
}

function drawColours() {
  for (const [name, colour] of COLOURS) {
    const input = Object.assign(document.createElement("input"), {type: "radio", name: "ink", value: colour});
    input.dataset.sayLabel = name;
    input.style.setProperty("--ink", colour);
    input.addEventListener("change", () => chooseColour(colour));
    element("colours").append(input);
  }
  addWords({en: {}, zh: {}}); // the new elements get their names
}

/** Shows a button as usable or not. It keeps the focus, which a disabled one would lose. */
function enable(button, can) {
  button.setAttribute("aria-disabled", String(!can));
}

export function listenToTools(painting, history) {
  drawColours();
  chooseColour(COLOURS.find(([name]) => name === BEGINNING)[1]);
  element("colour").addEventListener("input", ({target}) => chooseColour(target.value));
  element("eraser").addEventListener("click", () => useEraser(!brush().isEraser));
  element("brush").addEventListener("input", ({target}) => resize(target.value));
  for (const name of ["undo", "redo", "clear"]) element(name).addEventListener("click", () => painting[name]());
  history.onchange = () => {
    enable(element("undo"), history.canUndo);
    enable(element("redo"), history.canRedo);
  };
  history.onchange();
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input:not([type=radio], [type=range], [type=color]), textarea, select");
    if (isTyping || event.altKey || document.querySelector("dialog[open]")) return;
    if (press(event, painting)) event.preventDefault();
  });
}

/** Does what a key is for. Returns whether it is for anything. */
function press(event, painting) {
  const key = event.key.toLowerCase();
  if (document.body.classList.contains("viewer")) return false;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") painting[event.shiftKey ? "redo" : "undo"]();
    else if (key === "y") painting.redo();
    else return false;
    return true;
  }
  const width = brush().width;
  if (/^[0-9]$/.test(key)) chooseColour(COLOURS[(Number(key) + 9) % 10][1]);
  else if (key === "[") resize(width - stepOf(width - 1));
  else if (key === "]") resize(width + stepOf(width));
  else if (key === "b") useEraser(false);
  else if (key === "e") useEraser(true);
  else if (key === "?") element("keys-dialog").showModal();
  else return false;
  return true;
}
