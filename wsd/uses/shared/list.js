// A list that is drawn anew whenever something changes: the focus stays on the same button, and a log stays at its end.

import {create} from "/_wsd/element.js";

/** Fills a list. A button in it that has the focus keeps it: the one with the same key. */
export function drawList(list, rows) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const isLogAtEnd = list.getAttribute("role") === "log" && isScrolledToEnd(list);
  list.replaceChildren(...rows);
  if (focused !== undefined) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  if (isLogAtEnd) list.scrollTop = list.scrollHeight;
}

/** A button of a list. Its label is for those who do not see the row that it belongs to. */
export function buttonOf(key, text, action, label = text) {
  const button = create("button", {type: "button"}, text);
  button.dataset.key = key;
  button.setAttribute("aria-label", label);
  button.addEventListener("click", action);
  return button;
}

/** Appends a row to a log, which stays at its end if it was there. */
export function appendRow(log, row) {
  const isAtEnd = isScrolledToEnd(log);
  log.append(row);
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function isScrolledToEnd({scrollHeight, scrollTop, clientHeight}) {
  return scrollHeight - scrollTop - clientHeight < 40;
}
