// Numbers on a page.

import {formatNumber} from "/_wsd/language.js";

/** Writes each number, with its digits grouped, into the element with its name as the id. */
export function showNumbers(numbers) {
  for (const [id, number] of Object.entries(numbers)) document.getElementById(id).textContent = formatNumber(number);
}
