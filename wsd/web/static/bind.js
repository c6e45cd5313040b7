// The fields of the page, bound to the connection that is shown: what is typed is its state, and its state is shown.

import {BLANK} from "./session.js";

const element = (id) => document.getElementById(id);
const RADIO = "binary-type";
const OTHERS = new Set([RADIO, "tab"]); // these are no single fields
const NAMES = Object.keys(BLANK).filter((name) => !OTHERS.has(name));

/** Writes into a field as a person would. */
export function write(id, value) {
  element(id).value = value;
  element(id).dispatchEvent(new Event("input", {bubbles: true}));
}

/** `changed` is called with the name of the field that was typed in. */
export function bindFields(sessions, changed) {
  const note = (name, value) => {
    sessions.active.form[name] = value;
    sessions.save();
    changed(name);
  };
  for (const name of NAMES) {
    const field = element(name);
    const isSwitch = field.type === "checkbox";
    field.addEventListener(isSwitch ? "change" : "input", () => note(name, isSwitch ? field.checked : field.value));
  }
  for (const radio of document.getElementsByName(RADIO)) radio.addEventListener("change", () => note(RADIO, radio.value));
}

/** Shows what the form of a connection holds. */
export function showFields(form) {
  for (const name of NAMES) {
    const field = element(name);
    if (field.type === "checkbox") field.checked = form[name];
    else field.value = form[name];
  }
  for (const radio of document.getElementsByName(RADIO)) radio.checked = radio.value === form[RADIO];
}
