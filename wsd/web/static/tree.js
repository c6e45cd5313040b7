// JSON as a tree with search. A branch makes its children when it is opened, and a hundred of them at a time.

import {formatNumber, say} from "./language.js";
import {make, makeButton} from "./make.js";

const AT_ONCE = 100; // children that a branch shows, and shows more of
const MATCHES = 1_000; // matches that are counted

const isBranch = (value) => value !== null && typeof value === "object";

/** One value of the tree: a leaf, or a branch that makes its children late. */
class Node {
  constructor(key, value, open) {
    this.key = key;
    this.value = value;
    this.children = [];
    this.label = key === null ? null : make("span", "key", String(key));
    if (isBranch(value)) this.#makeBranch(open);
    else this.#makeLeaf();
  }

  #makeLeaf() {
    const kind = this.value === null ? "null" : typeof this.value;
    this.text = make("bdi", `value ${kind}`, JSON.stringify(this.value));
    this.element = make("li", "leaf");
    this.element.append(...(this.label ? [this.label, ": "] : []), this.text);
  }

  #makeBranch(open) {
    this.entries = Object.entries(this.value);
    const isArray = Array.isArray(this.value);
    const count = formatNumber(this.entries.length);
    this.text = make("span", "count", isArray ? `[${count}]` : `{${count}}`);
    this.details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.append(...(this.label ? [this.label, " "] : []), this.text);
    this.list = document.createElement("ul");
    this.details.append(summary, this.list);
    this.details.addEventListener("toggle", () => this.details.open && this.grow());
    this.element = make("li", "branch");
    this.element.append(this.details);
    if (open) this.reveal();
  }

  /** Opens the branch. */
  reveal() {
    this.grow();
    this.details.open = true;
  }

  /** Makes children until there are `count`, or the first hundred. */
  grow(count = this.children.length || AT_ONCE) {
    this.more?.remove();
    for (const [key, value] of this.entries.slice(this.children.length, count)) {
      const child = new Node(Array.isArray(this.value) ? Number(key) : key, value, false);
      this.children.push(child);
      this.list.append(child.element);
    }
    const left = this.entries.length - this.children.length;
    if (!left) return;
    this.more = make("li", "");
    this.more.append(makeButton("small", say("more", {count: formatNumber(Math.min(left, AT_ONCE))}),
      () => this.grow(this.children.length + AT_ONCE)));
    this.list.append(this.more);
  }
}

/** The paths, as lists of indices, of the keys and values in `value` that contain `wanted`, which is in lower case. */
export function pathsOf(value, wanted) {
  const found = [];
  const left = [{key: "", value, path: []}];
  while (left.length && found.length < MATCHES) {
    const at = left.pop();
    const text = isBranch(at.value) ? at.key : `${at.key}\n${at.value}`;
    if (text.toLowerCase().includes(wanted)) found.push(at.path);
    if (!isBranch(at.value)) continue;
    const isArray = Array.isArray(at.value);
    const entries = Object.entries(at.value);
    for (let index = entries.length - 1; index >= 0; index -= 1) {
      left.push({key: isArray ? "" : entries[index][0], value: entries[index][1], path: [...at.path, index]});
    }
  }
  return found;
}

export class Tree {
  #paths = [];
  #at = -1;
  #marked = null;

  constructor(value) {
    this.value = value;
    this.root = new Node(null, value, true);
    this.find = document.createElement("input");
    this.find.type = "search";
    this.find.spellcheck = false;
    this.find.placeholder = say("findInJson");
    this.find.setAttribute("aria-label", say("findInJson"));
    this.find.addEventListener("input", () => this.#search());
    this.find.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#go(this.#at + (event.shiftKey ? -1 : 1));
    });
    this.count = make("span", "quiet");
    this.count.setAttribute("role", "status");
    const head = make("div", "tree-head");
    head.append(this.find, this.count);
    const list = make("ul", "data tree");
    list.append(this.root.element);
    this.element = make("div", "");
    this.element.append(head, list);
  }

  #search() {
    const wanted = this.find.value.toLowerCase();
    this.#paths = wanted ? pathsOf(this.value, wanted) : [];
    this.#go(0);
  }

  /** Opens the way to a match, marks it and says which of how many it is. */
  #go(index) {
    this.#marked?.classList.remove("found");
    this.#marked = null;
    const count = this.#paths.length;
    this.#at = count ? (index + count) % count : -1;
    const numbers = {at: formatNumber(this.#at + 1), count: formatNumber(count) + (count === MATCHES ? "+" : "")};
    this.count.textContent = count ? say("matchOf", numbers) : this.find.value ? say("noMatch") : "";
    if (!count) return;
    let node = this.root;
    for (const step of this.#paths[this.#at]) {
      if (node.children.length <= step) node.grow(AT_ONCE * Math.ceil((step + 1) / AT_ONCE));
      node.reveal();
      node = node.children[step];
    }
    this.#marked = node.details?.firstElementChild ?? node.element;
    this.#marked.classList.add("found");
    this.#marked.scrollIntoView({block: "nearest"});
  }
}
