// Times in the visitor's language.

import {language} from "/_wsd/language.js";

const UNITS = [["day", 1440], ["hour", 60], ["minute", 1]]; // with their minutes

/** Writes into an element <time> how long ago something happened: "3 minutes ago", with the date as its title. */
export function drawAgo(element, at) {
  const then = new Date(at);
  const minutes = Math.floor((Date.now() - then) / 60_000);
  const [unit, size] = UNITS.find(([, each]) => minutes >= each) ?? ["second", Infinity];
  const format = new Intl.RelativeTimeFormat(language(), {numeric: "auto"});
  element.textContent = format.format(-Math.floor(minutes / size) || 0, unit);
  element.dateTime = then.toISOString();
  element.title = new Intl.DateTimeFormat(language(), {dateStyle: "medium", timeStyle: "short"}).format(then);
}

/** Seconds on a clock: 83 is "1:23". */
export function clockOf(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}
