// The rule that answers messages automatically, limited for each connection so that two machines cannot talk for ever.

import {fill} from "./variables.js";

export const REPLIES = 100; // for each connection, until the rule is switched on again

/** Whether a text message matches a rule {how: "contains" | "equals" | "matches", what}. */
function matches({how, what}, text) {
  if (how === "equals") return text === what;
  if (how === "matches") {
    try {
      return new RegExp(what, "u").test(text);
    } catch {
      return false; // the field says so already
    }
  }
  return text.includes(what);
}

/** Counts the replies of one connection. */
export class Replies {
  count = 0;

  /** Whether the limit is reached. */
  get isSpent() {
    return this.count >= REPLIES;
  }

  /** The text that answers `message` by the rule {on, how, what, text}, or null. Each one counts. */
  answer(rule, message, counter) {
    if (!rule.on || this.isSpent || message.opcode !== "text" || !matches(rule, message.payload)) return null;
    this.count += 1;
    return fill(rule.text, {counter, message: message.payload});
  }
}
