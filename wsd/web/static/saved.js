// Messages that were saved under a name, in folders: kept in this browser.

import {say} from "./language.js";
import {make, makeButton} from "./make.js";
import {recallList, rememberList} from "./memory.js";

const element = (id) => document.getElementById(id);
const KEY = "saved";
const ICONS = {json: "{ }", hex: "0x", text: "T"};

const byName = (one, other) => one.name.localeCompare(other.name);

export class Saved {
  #list = recallList(KEY); // {name, folder, kind, body}
  #editing = null;
  #removed = null;

  /** `read` gives the message of now {kind, body}; `use` puts one into its field; `send` sends one. */
  constructor({read, use, send}) {
    Object.assign(this, {read, use, send});
    element("save").addEventListener("click", () => this.#ask(null));
    element("save-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    element("save-cancel").addEventListener("click", () => this.#close());
    element("save-form").addEventListener("keydown", ({key}) => key === "Escape" && this.#close());
    element("saved-undo").addEventListener("click", () => this.#undo());
    document.addEventListener("language", () => this.#draw());
    // Another window of this page has changed them.
    window.addEventListener("storage", ({key}) => {
      if (key !== `wsd.${KEY}`) return;
      this.#list = recallList(KEY);
      this.#draw();
    });
  }

  /** Asks for name and folder; of a message that is edited, they are there already. */
  #ask(message) {
    this.#editing = message;
    element("save-name").value = message?.name ?? "";
    element("save-folder").value = message?.folder ?? element("save-folder").value;
    element("save-wrong").hidden = true;
    element("save-form").hidden = false;
    element("save-name").focus();
  }

  #close() {
    element("save-form").hidden = true;
    element("save").focus();
  }

  /** Keeps the message of now. One of the same name and folder is replaced. */
  #save() {
    const name = element("save-name").value.trim();
    const folder = element("save-folder").value.trim();
    element("save-wrong").hidden = Boolean(name);
    if (!name) {
      element("save-wrong").textContent = say("saveNameless");
      element("save-name").focus();
      return;
    }
    const isOther = (one) => one !== this.#editing && (one.name !== name || one.folder !== folder);
    this.#removed = null;
    this.#keep([...this.#list.filter(isOther), {name, folder, ...this.read()}]);
    element("saved").open = true;
    this.#close();
  }

  #remove(message) {
    this.#removed = message;
    this.#keep(this.#list.filter((one) => one !== message));
    element("saved-undo").focus();
  }

  #undo() {
    this.#keep([...this.#list, this.#removed]);
    this.#removed = null;
    this.#draw();
    element("saved").querySelector("summary").focus();
  }

  #keep(list) {
    this.#list = list;
    rememberList(KEY, list);
    this.#draw();
  }

  #draw() {
    const folders = [...new Set(this.#list.map(({folder}) => folder))].sort((one, other) => one.localeCompare(other));
    element("folders").replaceChildren(...folders.filter(Boolean).map((name) => new Option("", name)));
    element("saved-count").textContent = this.#list.length || "";
    element("saved-none").hidden = this.#list.length > 0;
    element("saved-removed").hidden = !this.#removed;
    if (this.#removed) element("saved-removed-name").textContent = say("removed", {name: this.#removed.name});
    element("saved-list").replaceChildren(...folders.map((folder) => this.#folder(folder)));
  }

  #folder(folder) {
    const list = make("ul", "");
    const messages = this.#list.filter((message) => message.folder === folder).sort(byName);
    list.append(...messages.map((message) => this.#item(message)));
    if (!folder) return list;
    const details = make("details", "folder");
    details.open = true;
    details.append(make("summary", "", folder), list);
    return details;
  }

  #item(message) {
    const item = make("li", "");
    const named = (key, text, act) => {
      const button = makeButton("small", text, act);
      button.setAttribute("aria-label", say(key, {name: message.name}));
      button.title = say(key, {name: message.name});
      return button;
    };
    const open = makeButton("name", "", () => this.use(message));
    open.append(make("span", "kind", ICONS[message.kind]), make("bdi", "", message.name));
    open.title = message.body.slice(0, 200);
    item.append(open, named("sendNamed", say("send"), () => this.send(message)), named("editNamed", say("edit"), () => {
      this.use(message);
      this.#ask(message);
    }), named("removeNamed", "×", () => this.#remove(message)));
    return item;
  }
}
