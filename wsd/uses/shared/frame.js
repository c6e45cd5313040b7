// The frame of a page of uses: its title and what to do, a second window, a link to share, and how it is made.
//
// The page is <body data-use="NAME"> with <div id="frame"></div> before its own content and <div id="made"></div> after
// it. Its words are in page.json. The attribute data-window has the query of the second window, if that shows something
// else. `at` gives addresses on the server, and `showConnection` tells when it went away.

import {copyText} from "/_wsd/clipboard.js";
import {create} from "/_wsd/element.js";
import {addWords, language, say} from "/_wsd/language.js";
import {drawSource} from "./source.js";

const name = document.body.dataset.use;
const server = document.querySelector("meta[name=wsd-server]")?.content || location.origin;

addWords({
  en: {
    "frame.all": "All uses", "frame.window": "Open a second window", "frame.copy": "Copy the link",
    "frame.copied": "Copied.", "frame.notCopied": "Not copied. Copy the address of this page instead.",
    "frame.lost": "The server went away. This page connects again as soon as it is back.",
    "frame.back": "The server is back, and this page has reconnected.",
    "frame.missing": "This page needs {names} from npm. In a checkout, install Node.js with npm, stop the server, and "
      + "start it with make run; or install the wheel, which includes them.",
  },
  zh: {
    "frame.all": "所有示例", "frame.window": "打开第二个窗口", "frame.copy": "复制链接",
    "frame.copied": "已复制。", "frame.notCopied": "未能复制，请直接复制本页地址。",
    "frame.lost": "服务器已断开，恢复后本页会自动重新连接。",
    "frame.back": "服务器已恢复，本页继续运行。",
    "frame.missing": "本页需要 npm 中的 {names}。在源码目录中，请安装 Node.js 和 npm，停止服务器后用 make run 启动；"
      + "也可以安装已包含它们的 wheel。",
  },
});

/** The URL of a path on the server, for Topics, fetch, EventSource and images. */
export function at(path) {
  return new URL(path, server).href;
}

/** The same for a WebSocket. */
export function socketAt(path) {
  return at(path).replace(/^http/, "ws");
}

let wasLost = false;

/** Shows that the server went away, and that it came back. */
export function showConnection(isOpen) {
  if (isOpen && !wasLost) return;
  wasLost = !isOpen;
  const note = document.getElementById("connection");
  note.dataset.say = isOpen ? "frame.back" : "frame.lost";
  note.classList.toggle("wrong", !isOpen);
  note.textContent = say(note.dataset.say);
}

/** The same for a client of topics. */
export function followTopics(topics) {
  topics.addEventListener("open", () => showConnection(true));
  topics.addEventListener("close", ({detail}) => detail.retry !== null && showConnection(false));
}

function openWindow() {
  window.open(document.body.dataset.window ?? location.href, "_blank", "popup,noopener,width=720,height=800");
}

async function copyLink(status) {
  status.dataset.say = await copyText(location.href) ? "frame.copied" : "frame.notCopied";
  status.textContent = say(status.dataset.say);
}

function buttonOf(key, action) {
  const button = create("button", {type: "button", textContent: say(key)});
  button.dataset.say = key;
  button.addEventListener("click", action);
  return button;
}

function drawFrame() {
  const place = document.getElementById("frame");
  const all = create("a", {href: "/uses/", textContent: say("frame.all")});
  all.dataset.say = "frame.all";
  const status = create("span", {className: "quiet", role: "status"});
  const note = create("p", {id: "connection", className: "quiet", role: "status"});
  place.replaceChildren(
    create("p", {className: "back"}, all),
    create("h1"),
    create("p", {className: "do"}),
    create("div", {className: "tools"}, buttonOf("frame.window", openWindow),
      buttonOf("frame.copy", () => copyLink(status)), status),
    note,
  );
}

/** Says which libraries are not there, in place of the page's content. */
async function checkLibraries(names) {
  const answers = await Promise.all(names.map((each) => fetch(`/uses/lib/${each}.js`, {method: "HEAD"})));
  const missing = names.filter((_, place) => !answers[place].ok);
  if (!missing.length) return;
  const note = document.getElementById("connection");
  note.className = "wrong";
  note.textContent = say("frame.missing", {names: missing.join(", ")});
  document.addEventListener("language", () => {
    note.textContent = say("frame.missing", {names: missing.join(", ")});
  });
  document.body.classList.add("incomplete");
}

async function begin() {
  drawFrame();
  const page = await (await fetch(`/uses/${name}/page.json`)).json();
  const draw = () => {
    document.querySelector("#frame h1").textContent = page.title[language()];
    document.querySelector("#frame .do").textContent = page.do[language()];
    document.title = `${page.title[language()]} - wsd`;
    drawSource(document.getElementById("made"), name, page, server);
  };
  draw();
  document.addEventListener("language", draw);
  await checkLibraries(page.needs ?? []);
}

begin();
