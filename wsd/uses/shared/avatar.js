// Avatars: a colour for each person, which is the same in all windows, and the first letter of their name.

import {create} from "/_wsd/element.js";

/** Colours on which white text is legible. avatar.css has the same. */
export const COLORS = ["#1559b7", "#1a7f37", "#8a5a00", "#b3261e", "#7b3fb5", "#0b6e75", "#a02c6d", "#4a5560"];

/** The index of a person's colour. */
export function colorOf(id) {
  return [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt()) % 1024, 0) % COLORS.length;
}

/** A disc with the first letter of a name. */
export function avatarOf(id, name) {
  const avatar = create("span", {className: `avatar color-${colorOf(id)}`, textContent: [...name][0] ?? ""});
  avatar.setAttribute("aria-hidden", "true");
  return avatar;
}
