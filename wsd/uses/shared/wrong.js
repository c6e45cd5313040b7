// What is wrong: a sentence in the page's element #wrong.

import {say} from "/_wsd/language.js";

let told = null; // the words, and their values

function draw() {
  const place = document.getElementById("wrong");
  place.hidden = told === null;
  place.textContent = told === null ? "" : say(...told);
}

/** Shows a sentence of what is wrong, or none. */
export function tell(key, values) {
  told = key === null ? null : [key, values];
  draw();
}

document.addEventListener("language", draw);
