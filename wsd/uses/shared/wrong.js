// What is wrong, or how far something is: a sentence in the page's element #wrong.

import {say} from "/_wsd/language.js";

let told = null; // the words, and their values

function draw() {
  const place = document.getElementById("wrong");
  place.hidden = told === null;
  place.textContent = told === null ? "" : say(...told);
}

/** Shows a sentence, or none. The class "quiet" is for one that says how far something is. */
export function tell(key, values = {}, className = "wrong") {
  told = key === null ? null : [key, values];
  document.getElementById("wrong").className = className;
  draw();
}

document.addEventListener("language", draw);
