// The list of topics in use, and a form that opens one in the console.

import {create} from "/_wsd/element.js";
import {addWords, formatNumber, say} from "/_wsd/language.js";
import {consoleUrl} from "/_wsd/routes.js";

const EVERY = 5000; // milliseconds between two questions
const MOST_BYTES = 200; // of a topic's name in UTF-8
const route = document.body.dataset.route;
const element = (id) => document.getElementById(id);

addWords({
  en: {
    pageTitle: "wsd topics", title: "Topics",
    about: "Everyone who is connected to a topic receives the messages that are published there.",
    open: "Open a topic", name: "Name", hint: "A topic exists as soon as someone opens it. Separate levels with slashes.",
    openConsole: "Open in the console", list: "Topics in use",
    none: "There are no topics in use that you may read.", lost: "The server does not answer.",
    zero: "no subscribers", one: "1 subscriber", many: "{count} subscribers",
    wrong: "Use a name of at most 200 bytes, without + and #, and without empty parts between slashes.",
  },
  zh: {
    pageTitle: "wsd 主题", title: "主题",
    about: "连接到同一主题的所有人都会收到发布到该主题的消息。",
    open: "打开主题", name: "名称", hint: "打开主题即可创建，可用斜杠分级。",
    openConsole: "在控制台中打开", list: "正在使用的主题",
    none: "目前没有您可以读取的主题。", lost: "服务器没有响应。",
    zero: "没有订阅者", one: "1 个订阅者", many: "{count} 个订阅者",
    wrong: "请输入不超过 200 字节的名称，不能包含 + 和 #，斜杠之间不能为空。",
  },
});

let topics = null; // [{topic, subscribers}], or null when the server does not answer

function addressOf(topic) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const path = topic.split("/").map(encodeURIComponent).join("/");
  return consoleUrl(`${scheme}://${location.host}${route}/${path}`);
}

function rowOf({topic, subscribers}) {
  const count = say(["zero", "one"][subscribers] ?? "many", {count: formatNumber(subscribers)});
  const link = create("a", {href: addressOf(topic), textContent: topic});
  return create("li", {}, link, create("span", {className: "quiet", textContent: count}));
}

function draw() {
  element("none").hidden = Boolean(topics?.length);
  element("none").textContent = say(topics ? "none" : "lost");
  const focused = document.activeElement?.closest("#topics") ? document.activeElement.textContent : null;
  element("topics").replaceChildren(...(topics ?? []).map(rowOf));
  // The list is drawn anew; whoever was at one of its links stays there.
  if (focused) [...element("topics").querySelectorAll("a")].find((link) => link.textContent === focused)?.focus();
}

async function refresh() {
  if (document.hidden) return;
  try {
    topics = (await (await fetch(route)).json()).topics;
  } catch {
    topics = null;
  }
  draw();
}

function isName(name) {
  const levels = name.split("/");
  const size = new TextEncoder().encode(name).length;
  return size <= MOST_BYTES && !/[+#]/.test(name) && !name.startsWith("$") && levels.every((level) => level !== "");
}

element("open").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = element("name").value.trim();
  const isRight = isName(name);
  element("name").setAttribute("aria-invalid", String(!isRight));
  element("name-wrong").hidden = isRight;
  element("name-wrong").textContent = isRight ? "" : say("wrong");
  if (isRight) location.assign(addressOf(name));
  else element("name").focus();
});

document.addEventListener("language", draw);
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY);
refresh();
