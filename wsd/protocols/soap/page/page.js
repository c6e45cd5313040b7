// The page of a route of SOAP: sends an envelope over a WebSocket, and shows what comes back and what is pushed.

const WORDS = {
  en: {
    operations: "Operations", takes: "takes", gives: "gives", faults: "fault", sample: "Sample", try: "Try it",
    call: "call", oneway: "one-way", push: "pushed", form: "Try it over a WebSocket", envelope: "Envelope", send: "Send",
    came: "What came", none: "Nothing yet.", forWebSocket: "SOAP over WebSocket",
    forHttp: "for clients that know HTTP alone", connecting: "connecting", sent: "sent", lost: "the connection was lost",
    answer: "answer", fault: "fault", pushed: "pushed", after: (time) => `after ${time} ms`,
  },
  zh: {
    operations: "操作", takes: "参数", gives: "返回", faults: "错误", sample: "示例", try: "试一试",
    call: "调用", oneway: "单向", push: "推送", form: "通过 WebSocket 试用", envelope: "信封", send: "发送",
    came: "收到的消息", none: "还没有。", forWebSocket: "SOAP over WebSocket",
    forHttp: "供只支持 HTTP 的客户端使用", connecting: "正在连接", sent: "已发送", lost: "连接已中断",
    answer: "应答", fault: "错误", pushed: "推送", after: (time) => `${time} 毫秒后`,
  },
};
const say = WORDS[document.documentElement.lang.startsWith("zh") ? "zh" : "en"];
const route = document.body.dataset.route;
const element = (id) => document.getElementById(id);
const MOST = 50;

let connection = null;
let began = 0;

function connect() {
  if (connection && connection.readyState <= WebSocket.OPEN) return connection;
  const url = new URL(route || "/", location.href.replace(/^http/, "ws"));
  connection = new WebSocket(url, "soap");
  connection.onmessage = ({data}) => show(data);
  connection.onclose = ({reason}) => {
    element("state").textContent = reason || say.lost;
  };
  return connection;
}

const ESCAPES = {"&": "&amp;", "<": "&lt;", '"': "&quot;"};

/** Returns an element as text. Its children are indented, unless there is text between them. */
function pretty(node, depth = 0) {
  const pad = "  ".repeat(depth);
  const escaped = (value) => value.replace(/[&<"]/g, (character) => ESCAPES[character]);
  const attributes = [...node.attributes].map(({name, value}) => ` ${name}="${escaped(value)}"`).join("");
  const hasText = [...node.childNodes].some((each) => each.nodeType !== Node.ELEMENT_NODE && each.textContent.trim());
  if (hasText || !node.children.length) {
    const text = node.innerHTML;
    return `${pad}<${node.nodeName}${attributes}${text ? `>${text}</${node.nodeName}>` : "/>"}\n`;
  }
  const inner = [...node.children].map((child) => pretty(child, depth + 1)).join("");
  return `${pad}<${node.nodeName}${attributes}>\n${inner}${pad}</${node.nodeName}>\n`;
}

function show(text) {
  const root = new DOMParser().parseFromString(text, "text/xml").documentElement;
  const has = (name) => root.getElementsByTagNameNS("*", name).length > 0;
  const kind = has("Fault") ? "fault" : has("MessageID") && !has("RelatesTo") ? "pushed" : "answer";
  const item = document.createElement("li");
  item.className = "message";
  const title = document.createElement("b");
  title.textContent = say[kind];
  title.className = kind === "fault" ? "bad" : "good";
  const after = document.createElement("span");
  after.className = "quiet";
  after.textContent = ` ${say.after(Math.round(performance.now() - began))}`;
  const body = document.createElement("pre");
  body.tabIndex = 0;
  body.textContent = pretty(root);
  item.append(title, after, body);
  element("none").hidden = true;
  element("state").textContent = "";
  element("messages").prepend(item);
  while (element("messages").children.length > MOST) element("messages").lastElementChild.remove();
}

function send() {
  const socket = connect();
  const message = element("envelope").value;
  const go = () => {
    began = performance.now();
    socket.send(message);
    element("state").textContent = say.sent;
  };
  if (socket.readyState === WebSocket.OPEN) go();
  else {
    element("state").textContent = say.connecting;
    socket.addEventListener("open", go, {once: true});
  }
}

/** Puts the sample of an operation into the form, with a new MessageID. */
function prepare(button) {
  const text = button.closest(".operation").querySelector(".sample").textContent;
  const messageId = `urn:uuid:${crypto.randomUUID ? crypto.randomUUID() : Date.now()}`;
  element("envelope").value = text.replace(/urn:uuid:[0-9a-f-]+/, messageId);
  element("form").scrollIntoView({block: "start"});
  element("envelope").focus();
  element("envelope").setSelectionRange(0, 0);
  element("envelope").scrollTop = 0;
}

for (const each of document.querySelectorAll("[data-say]")) each.textContent = say[each.dataset.say];
for (const button of document.querySelectorAll(".try")) button.addEventListener("click", () => prepare(button));
element("send").addEventListener("click", send);
element("envelope").value = (document.querySelector(".sample") || {textContent: ""}).textContent;
