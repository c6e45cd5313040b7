// The tabs of the page: one for each connection, side by side.

import {formatNumber, say} from "./language.js";
import {make, makeButton} from "./make.js";

const STATES = ["connecting", "open", "closing", "closed"];

/** Moves the focus within a list of tabs as the ARIA practices have it: one stop for Tab, arrows between them. */
export function walkTabs(event, tabs, choose) {
  const here = tabs.indexOf(event.target);
  const count = tabs.length;
  const there = {ArrowRight: (here + 1) % count, ArrowLeft: (here + count - 1) % count, Home: 0, End: count - 1}[event.key];
  if (here < 0 || there === undefined) return;
  event.preventDefault();
  choose(there);
}

export class Tabs {
  #list = document.getElementById("connections");
  #tabs = [];
  #drawing = false;

  constructor(sessions) {
    this.sessions = sessions;
    document.getElementById("add").addEventListener("click", () => {
      sessions.add({...sessions.active.form, "reply-on": false});
      document.getElementById("url").focus();
    });
    this.#list.addEventListener("keydown", (event) => {
      walkTabs(event, this.#tabs, (there) => this.#go(there));
      const at = this.#tabs.indexOf(event.target);
      if (event.key !== "Delete" || at < 0) return;
      sessions.remove(sessions.list[at]);
      this.#focus();
    });
    sessions.addEventListener("list", () => this.#draw());
    for (const name of ["row", "state"]) sessions.addEventListener(name, () => this.drawSoon());
    document.addEventListener("language", () => this.#draw());
  }

  /** Draws at the next frame. */
  drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      for (const [at, session] of this.sessions.list.entries()) this.#mark(this.#tabs[at], session);
    });
  }

  #go(at) {
    this.sessions.choose(this.sessions.list[at]);
    this.#focus();
  }

  #focus() {
    this.#tabs[this.sessions.list.indexOf(this.sessions.active)].focus();
  }

  #draw() {
    this.#tabs = [];
    this.#list.replaceChildren(...this.sessions.list.map((session) => this.#item(session)));
    this.#list.querySelector("[aria-selected=true]")?.scrollIntoView({block: "nearest", inline: "nearest"});
  }

  #item(session) {
    const item = make("span", "connection");
    item.setAttribute("role", "presentation");
    const tab = makeButton("", "", () => this.#go(this.sessions.list.indexOf(session)));
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "page");
    tab.append(make("span", "dot"), make("bdi", "name"), make("span", "unread"));
    const remove = makeButton("remove", "×", () => this.sessions.remove(session));
    remove.tabIndex = -1; // Delete does it
    item.append(tab, remove);
    this.#tabs.push(tab);
    this.#mark(tab, session);
    return item;
  }

  #mark(tab, session) {
    const chosen = session === this.sessions.active;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    const [dot, name, unread] = tab.children;
    const state = session.wire.state;
    dot.className = `dot ${STATES[state] ?? ""}`;
    name.textContent = session.name || say("unnamed");
    unread.textContent = session.unread ? formatNumber(session.unread) : "";
    const told = state === null ? say("notConnected") : STATES[state].toUpperCase();
    tab.title = session.form.url;
    tab.setAttribute("aria-label", [name.textContent, told, session.unread && say("unread", {count: session.unread})]
      .filter(Boolean).join(", "));
    tab.nextElementSibling?.setAttribute("aria-label", say("removeNamed", {name: name.textContent}));
    if (tab.nextElementSibling) tab.nextElementSibling.title = say("remove");
  }
}
