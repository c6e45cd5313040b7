// Why a connection failed: the browser hides it from the page, so the page asks the daemon (wsd/web/attempts.py).

import {addWords, has, say} from "./language.js";

const TRIES = 4; // the daemon may learn of an end a moment after the browser
const PAUSE = 150; // milliseconds between two tries

addWords({
  en: {
    "why.refused": "The server refused the connection with {status} {phrase}: {sentence}",
    "why.ended": "The server ended the connection: {cause}.",
    "why.unreachable": "No server answers at {host}. Check that it is running and that the host and port are right.",
    "why.elsewhere": "The browser does not say why. In a terminal, this command does:",
    "why.ping_timeout": "a ping was not answered in time", "why.closing_timeout": "the closing handshake took too long",
    "why.stalled": "the browser stopped reading", "why.overrun": "too much data was waiting to be read",
    "why.memory": "the server was short of memory", "why.protocol_error": "a frame broke the WebSocket protocol",
    "why.invalid_payload": "a text message was not valid UTF-8", "why.too_big": "a message was larger than allowed",
    "why.internal_error": "an internal error occurred; see the server's log", "why.shutdown": "the server is shutting down",
    "why.operator": "an operator closed it", "why.rate_limited": "too much was sent per second",
    "why.slow": "the browser read too slowly",
    "why.aborted": "the route dropped it without a closing handshake", "why.lost": "the connection was lost",
  },
  zh: {
    "why.refused": "服务器拒绝了连接：{status} {phrase}：{sentence}",
    "why.ended": "服务器断开了连接：{cause}。",
    "why.unreachable": "{host} 没有服务器响应。请确认服务器正在运行，并检查主机和端口。",
    "why.elsewhere": "浏览器不提供失败原因。在终端运行以下命令可以查看：",
    "why.ping_timeout": "没有及时响应 ping", "why.closing_timeout": "关闭握手超时",
    "why.stalled": "浏览器停止读取数据", "why.overrun": "等待读取的数据过多",
    "why.memory": "服务器内存不足", "why.protocol_error": "收到不符合 WebSocket 协议的帧",
    "why.invalid_payload": "文本消息不是有效的 UTF-8", "why.too_big": "消息超过允许的大小",
    "why.internal_error": "服务器内部错误，详情见服务器日志", "why.shutdown": "服务器正在关闭",
    "why.operator": "被管理员关闭", "why.rate_limited": "每秒发送的数据过多",
    "why.slow": "浏览器读取太慢",
    "why.aborted": "该路由未经关闭握手直接断开", "why.lost": "连接中断",
  },
});

/**
 * Opens a WebSocket, in place of its constructor. Returns {socket, why}. After "close", `why()` returns a promise of
 * {key, values, command}, or of null when the daemon has nothing to add. `say(key, values)` is the sentence; `command`
 * is the line for a terminal that tells more, or null.
 */
export function openSocket(url, protocols = []) {
  const target = new URL(url);
  const mark = target.host === location.host ? setMark(target) : null;
  let socket;
  try {
    socket = new WebSocket(url, protocols);
  } catch (error) {
    mark?.clear();
    throw error;
  }
  let wasOpen = false;
  socket.addEventListener("open", () => {
    wasOpen = true;
    mark?.clear();
  });
  socket.addEventListener("close", () => mark?.clear());
  return {socket, why: () => mark ? ask(mark.token, target) : elsewhere(target, [protocols].flat(), wasOpen)};
}

/** Marks the next handshake at a path by a cookie with a random name. It lives until the handshake is over. */
function setMark({pathname}) {
  const token = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const path = pathname.includes(";") ? "/" : pathname;
  const cookie = (age) => {
    try {
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `wsd_attempt_${token}=1; Path=${path}; Max-Age=${age}; SameSite=Strict${secure}`;
    } catch {
      // Cookies are refused here, so the daemon will not know this attempt.
    }
  };
  cookie(60);
  return {token, clear: () => cookie(0)};
}

async function ask(token, {host, pathname, search}) {
  const headers = {"Wsd-Attempt": token, "Wsd-Target": pathname + search};
  for (let left = TRIES; left > 0; left -= 1) {
    let outcome;
    try {
      outcome = await (await fetch("/_wsd/why", {headers})).json();
    } catch (error) {
      return error instanceof SyntaxError ? null : {key: "why.unreachable", values: {host}, command: null};
    }
    if (outcome.status) return {key: "why.refused", values: outcome, command: null};
    if (outcome.cause) return ended(outcome.cause);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return null;
}

/** Of an end by a closing handshake the browser knows as much as the daemon. */
function ended(cause) {
  if (!has(`why.${cause}`)) return null;
  return {key: "why.ended", values: {get cause() { return say(`why.${cause}`); }}, command: null};
}

function elsewhere({host, href}, protocols, wasOpen) {
  if (wasOpen) return Promise.resolve(null);
  const subprotocols = protocols.flatMap((name) => ["--subprotocol", quoted(name)]);
  const command = ["wsd connect", "--origin", quoted(location.origin), ...subprotocols, quoted(href)].join(" ");
  return Promise.resolve({key: "why.elsewhere", values: {host}, command});
}

/** An argument of a shell's command line. */
export function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
