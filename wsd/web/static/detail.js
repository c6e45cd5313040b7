// What a row of the log opens: the JSON as a tree, the text, the bytes or the picture, and what can be done with it.

import {formatSize, hexdump} from "./bytes.js";
import {formatNumber, say} from "./language.js";
import {bytesOf} from "./ledger.js";
import {make, makeButton} from "./make.js";
import {PICTURE_BYTES, picture} from "./picture.js";
import {sentence} from "./preview.js";
import {Tree} from "./tree.js";

const DUMP = 4_096; // bytes that a hexdump shows
const TEXT = 65_536; // characters that an opened text shows
const JSON_TEXT = 2_000_000; // characters of JSON that a tree shows

const ACTIONS = {event: ["copy"], sent: ["copy", "edit", "resend"], received: ["copy", "edit"]};

/** The object or array of a JSON text; undefined if it is something else. */
function structure({opcode, payload}) {
  if (opcode !== "text" || payload.length > JSON_TEXT || !/^\s*[[{]/.test(payload)) return undefined;
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}

export class Detail {
  /** `row` is one of the ledger; it keeps in `kind` how it is shown. `actions` are {copy, resend, edit}. */
  constructor(row, actions) {
    this.row = row;
    this.actions = actions;
    this.element = make("div", "detail");
    this.value = row.direction === "event" ? undefined : structure(row);
    this.#fill();
  }

  /** How it can be shown, the best first. */
  get #kinds() {
    if (this.value !== undefined) return ["asJson", "asText", "asHex"];
    return this.row.opcode === "text" ? ["asText", "asHex"] : ["asHex"];
  }

  #fill() {
    const {row, element} = this;
    element.replaceChildren(this.#tools());
    if (row.direction === "event") {
      element.append(make("p", "words", sentence(row)));
      return;
    }
    if (!row.size) {
      element.append(make("p", "quiet", say("emptyMessage")));
      return;
    }
    const kind = row.kind ?? this.#kinds[0];
    if (kind === "asJson") element.append(new Tree(this.value).element);
    else if (kind === "asText") this.#fillText(row.payload);
    else this.#fillBytes().catch((error) => element.append(make("p", "wrong", say("unreadable", {why: error.message}))));
  }

  /** The choice between tree, text and hexdump, and the actions. */
  #tools() {
    const {row} = this;
    const tools = make("div", "tools");
    if (row.direction !== "event" && row.size && this.#kinds.length > 1) {
      const kinds = make("div", "kinds");
      for (const key of this.#kinds) {
        const button = makeButton("small", say(key), () => this.#show(key));
        button.setAttribute("aria-pressed", String(key === (row.kind ?? this.#kinds[0])));
        kinds.append(button);
      }
      tools.append(kinds);
    }
    const actions = make("div", "actions");
    for (const name of ACTIONS[row.direction]) actions.append(makeButton("small", say(name), ({target}) => this.#act(name, target)));
    tools.append(actions);
    return tools;
  }

  async #act(name, button) {
    if (!await this.actions[name](this.row) || name !== "copy") return;
    button.textContent = say("copied");
    setTimeout(() => {
      button.textContent = say("copy");
    }, 1500);
  }

  #show(kind) {
    this.row.kind = kind;
    this.#fill();
    this.element.querySelector("[aria-pressed=true]").focus();
  }

  #fillText(text) {
    const whole = make("pre", "data words", text.slice(0, TEXT));
    whole.dir = "auto";
    this.element.append(whole);
    if (text.length > TEXT) this.#capped(formatNumber(TEXT), formatNumber(text.length));
  }

  async #fillBytes() {
    const {payload, size, opcode} = this.row;
    const bytes = await bytesOf(payload, size === PICTURE_BYTES ? size : DUMP);
    if (opcode === "binary" && size === PICTURE_BYTES) {
      const whole = picture(bytes);
      whole.className = "picture";
      whole.setAttribute("role", "img");
      whole.setAttribute("aria-label", say("picture"));
      this.element.append(whole);
    }
    const dump = make("pre", "data dump", hexdump(bytes.subarray(0, DUMP)));
    dump.tabIndex = 0;
    dump.setAttribute("aria-label", say("asHex"));
    dump.setAttribute("role", "region");
    this.element.append(dump);
    if (size > DUMP) this.#capped(formatSize(DUMP), formatSize(size));
  }

  #capped(shown, size) {
    this.element.append(make("p", "quiet", say("capped", {shown, size})));
  }
}
