// The status page: asks the daemon every few seconds while the page is visible.

import {create} from "./element.js";
import {addWords, formatNumber, language, say} from "./language.js";

const EVERY = 5000; // milliseconds
const element = (id) => document.getElementById(id);

addWords({
  en: {
    pageTitle: "wsd status", title: "Status", ready: "Ready", notReady: "Not ready", lost: "No answer from the server",
    version: "Version", uptime: "Uptime", connections: "Connections", webSockets: "WebSockets", memory: "Message memory",
    frames: "Frames", reactor: "Reactor", of: "{some} of {all}", routes: "Routes", route: "Route", protocol: "Protocol",
    open: "Open now", opened: "Total opened", messages: "Messages", size: "Size", programs: "For programs:",
  },
  zh: {
    pageTitle: "wsd 状态", title: "状态", ready: "运行正常", notReady: "未就绪", lost: "服务器没有响应",
    version: "版本", uptime: "运行时间", connections: "连接数", webSockets: "WebSocket 连接", memory: "消息占用内存",
    frames: "帧处理", reactor: "Reactor", of: "{some} / {all}", routes: "路由", route: "路由", protocol: "协议",
    open: "当前连接", opened: "累计连接", messages: "消息数", size: "流量", programs: "供程序使用：",
  },
});

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

function formatSize(bytes) {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)));
  const value = bytes / 1024 ** power;
  return `${value.toLocaleString(document.documentElement.lang, {maximumFractionDigits: power ? 1 : 0})} ${UNITS[power]}`;
}

/** A duration by its two largest units. */
function formatDuration(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const first = Math.max(0, units.findIndex(([, size]) => seconds >= size));
  const from = seconds < 1 ? units.length - 1 : first;
  return units.slice(from, from + 2).map(([unit, size], index) => {
    const value = Math.floor((index ? seconds % units[from][1] : seconds) / size);
    return new Intl.NumberFormat(document.documentElement.lang, {style: "unit", unit, unitDisplay: "short"}).format(value);
  }).join(language() === "zh" ? "" : " ");
}

let shown = null;

function draw() {
  const status = shown;
  const readiness = say(!status ? "lost" : status.ready ? "ready" : "notReady");
  element("ready").className = status?.ready ? "good" : "bad";
  // It is a live region, so it is set only when it says something new.
  if (element("ready").textContent !== readiness) element("ready").textContent = readiness;
  element("reasons").replaceChildren(...(status?.reasons ?? []).map((reason) => create("li", {textContent: reason})));
  if (!status) return;
  const facts = {
    version: status.version,
    uptime: formatDuration(status.uptime),
    connections: say("of", {some: formatNumber(status.connections), all: formatNumber(status.max_connections)}),
    webSockets: formatNumber(status.websockets),
    memory: say("of", {some: formatSize(status.memory), all: formatSize(status.memory_max)}),
    frames: status.plane,
    reactor: status.reactor,
  };
  element("facts").replaceChildren(...Object.entries(facts).map(([key, value]) => create(
    "div", {}, create("dt", {textContent: say(key)}), create("dd", {textContent: value}),
  )));
  element("rows").replaceChildren(...status.routes.map((route) => create(
    "tr", {}, create("th", {scope: "row", textContent: route.path}),
    create("td", {textContent: route.protocols.join(", ")}),
    ...[route.connections, route.opened, route.messages].map((count) => numberCell(formatNumber(count))),
    numberCell(formatSize(route.size)),
  )));
}

function numberCell(text) {
  return create("td", {className: "number", textContent: text});
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/_wsd/status.json");
    shown = answer.ok ? await answer.json() : null;
  } catch {
    shown = null;
  }
  draw();
}

document.addEventListener("language", draw);
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY);
refresh();
