// The list of what is here: each route of this daemon that the visitor may open, with a sentence and a link.

import {create} from "./element.js";
import {addWords, language, say} from "./language.js";
import {recall, remember} from "./memory.js";
import {cachedSite, loadSite} from "./site.js";

addWords({
  en: {
    "routes.title": "On this server", "routes.page": "Open the page", "routes.connect": "Connect",
    "routes.chosen": "Supports {names}; the subprotocol selects one.", "routes.protocol": "Uses the protocol {names}.",
    "routes.below": "{path}NAME",
  },
  zh: {
    "routes.title": "本服务器提供", "routes.page": "打开页面", "routes.connect": "连接",
    "routes.chosen": "支持 {names}，由子协议决定使用哪一个。", "routes.protocol": "使用 {names} 协议。",
    "routes.below": "{path}名称",
  },
});

const place = document.getElementById("routes");

/** The address of the console with a WebSocket URL and subprotocols filled in. */
export function consoleUrl(url, subprotocols = []) {
  const query = new URLSearchParams({url});
  if (subprotocols.length) query.set("protocols", subprotocols.join(", "));
  return `/?${query}`;
}

function webSocketUrl(path) {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
}

function sentenceOf({about, protocols}) {
  if (about) return about[language()];
  const english = new Intl.ListFormat("en", {type: "disjunction"});
  const names = language() === "zh" ? protocols.join("、") : english.format(protocols);
  return say(protocols.length > 1 ? "routes.chosen" : "routes.protocol", {names});
}

/** A link whose name tells it from those of the other routes. */
function linkOf(href, key, path) {
  const link = create("a", {href, textContent: say(key)});
  link.setAttribute("aria-label", `${say(key)}: ${path}`);
  return link;
}

function rowOf(route) {
  const isAny = route.path.length > 1 && route.path.endsWith("/");
  const path = isAny ? say("routes.below", {path: route.path}) : route.path;
  const url = webSocketUrl(isAny ? `${route.path}example` : route.path);
  const links = create("p", {className: "links"});
  if (route.page) links.append(linkOf(route.page, "routes.page", path));
  links.append(linkOf(consoleUrl(url, route.subprotocols), "routes.connect", path));
  return create("li", {}, create("code", {textContent: path}), create("p", {textContent: sentenceOf(route)}), links);
}

function draw(site) {
  const routes = site?.routes ?? [];
  place.hidden = !routes.length;
  const title = create("h2", {textContent: say("routes.title")});
  place.replaceChildren(create("summary", {}, title), create("ul", {}, ...routes.map(rowOf)));
}

/** The list is open for a new visitor. It stays as it was left, and is closed for who has used the console. */
function begin() {
  place.open = !new URLSearchParams(location.search).has("url") && recall("routes") !== "closed";
  // A click (or Enter) on the summary comes just before the change; "toggle" would fire for our own line above, too.
  place.addEventListener("click", ({target}) => {
    if (target.closest("summary")) remember("routes", place.open ? "closed" : "open");
  });
  document.getElementById("connect-form")?.addEventListener("submit", () => {
    if (recall("routes") === null) remember("routes", "closed");
  });
  draw(cachedSite());
  loadSite().then((site) => {
    draw(site);
    document.addEventListener("language", () => draw(site));
  });
}

if (place) begin();
