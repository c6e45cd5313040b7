// Shorthands for the many small elements of the console: a class and a text, whatever the text holds, never markup.

import {create} from "./element.js";

export function make(name, className, text = "") {
  return create(name, {className, textContent: text});
}

/** A button that does something. */
export function makeButton(className, text, act) {
  const button = create("button", {type: "button", className, textContent: text});
  button.addEventListener("click", act);
  return button;
}
