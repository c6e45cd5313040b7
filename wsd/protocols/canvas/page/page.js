// The page of a canvas: what is painted here goes out part by part, and what others paint is shown.

const WORDS = {
  en: {
    title: "A canvas that others watch", role: "You", painter: "paint", viewer: "watch", colour: "Colour",
    brush: "Brush", clear: "Clear", png: "As PNG", opening: "connecting",
    empty: "connected; nobody has painted here yet", lost: "the connection was lost; trying again",
    closed: "no connection could be made; trying again",
    refused: (why) => `the server closed: ${why}`, shown: (number, size) => `frame ${number}, ${size}`,
    painted: (number, viewers) => `frame ${number} is yours; sent on to ${viewers}`,
  },
  zh: {
    title: "众人可见的画布", role: "你", painter: "绘画", viewer: "观看", colour: "颜色",
    brush: "画笔", clear: "清空", png: "PNG 图片", opening: "正在连接",
    empty: "已连接；还没有人在这里画过", lost: "连接已中断；正在重试",
    closed: "无法建立连接；正在重试",
    refused: (why) => `服务器已关闭连接：${why}`, shown: (number, size) => `第 ${number} 帧，${size}`,
    painted: (number, viewers) => `第 ${number} 帧由你绘制；已转发给 ${viewers} 个连接`,
  },
};
const AGAIN = 1000; // milliseconds from a lost connection to the next try
const say = WORDS[document.documentElement.lang.startsWith("zh") ? "zh" : "en"];
const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const pen = canvas.getContext("2d", {willReadFrequently: true});
const query = new URLSearchParams(location.search);

/** What was painted here and is not in a frame that came back yet: it is painted over such frames again. */
let strokes = [];
/** What was sent and has no receipt yet, in order. */
let sent = [];
let connection;
let announced; // the line that came before the frame

function tell(sentence) {
  element("state").textContent = sentence;
}

function size() {
  return `${canvas.width} × ${canvas.height}`;
}

// -- the connection ----------------------------------------------------------------------------------------------

function connect() {
  const url = new URL(location.pathname, location.href.replace(/^http/, "ws"));
  const asked = {width: canvas.width, height: canvas.height, role: role(), meta: ""};
  url.search = new URLSearchParams(asked);
  tell(say.opening);
  strokes = [];
  sent = [];
  const mine = connection = new WebSocket(url);
  mine.binaryType = "arraybuffer";
  let isOpen = false;
  mine.onopen = () => {
    isOpen = true;
    tell(say.empty);
  };
  mine.onmessage = ({data}) => {
    if (mine !== connection) return;
    if (typeof data === "string") hear(JSON.parse(data));
    else show(data);
  };
  mine.onclose = ({reason}) => {
    if (mine !== connection) return;
    tell(reason ? say.refused(reason) : isOpen ? say.lost : say.closed);
    setTimeout(() => mine === connection && connect(), AGAIN);
  };
}

function hear(line) {
  if (line.error) tell(say.refused(line.error.message));
  else if ("viewers" in line) acknowledged(line);
  else announced = line;
}

function acknowledged({frame, viewers}) {
  sent.shift().frame = frame;
  tell(say.painted(frame, viewers));
}

function show(pixels) {
  const {width, height, frame} = announced;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  pen.putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
  strokes = strokes.filter((each) => !each.frame || each.frame > frame);
  for (const each of strokes) each.draw();
  tell(say.shown(frame, size()));
}

// -- painting ----------------------------------------------------------------------------------------------------

/** Lines of one colour and width, drawn between two pictures of the screen. */
class Stroke {
  #colour = element("colour").value;
  #width = Number(element("brush").value);
  #lines = [];

  add(from, to) {
    this.#lines.push([from, to]);
    this.#draw(from, to);
  }

  draw() {
    for (const [from, to] of this.#lines) this.#draw(from, to);
  }

  #draw(from, to) {
    pen.strokeStyle = this.#colour;
    pen.lineWidth = this.#width;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
  }

  /** The part of the picture it lies in, null when that is none. */
  part() {
    const points = this.#lines.flat();
    const around = this.#width / 2 + 1;
    const edges = (axis, most) => [
      Math.max(0, Math.floor(Math.min(...points.map((point) => point[axis])) - around)),
      Math.min(most, Math.ceil(Math.max(...points.map((point) => point[axis])) + around)),
    ];
    const [left, right] = edges(0, canvas.width);
    const [top, bottom] = edges(1, canvas.height);
    return left < right && top < bottom ? {x: left, y: top, width: right - left, height: bottom - top} : null;
  }
}

let last = null; // where the pen is down
let stroke = null; // what was drawn since the last picture of the screen

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [
    (event.clientX - box.left) * canvas.width / box.width,
    (event.clientY - box.top) * canvas.height / box.height,
  ];
}

function draw(to) {
  if (!stroke) {
    stroke = new Stroke();
    strokes.push(stroke);
    requestAnimationFrame(send);
  }
  stroke.add(last, to);
  last = to;
}

/** Send the part that changed: a line that says where it lies, and its pixels. */
function send() {
  const done = stroke;
  stroke = null;
  if (!done || connection.readyState !== WebSocket.OPEN) return;
  const part = done.part();
  if (!part) {
    strokes.splice(strokes.indexOf(done), 1);
    return;
  }
  sent.push(done);
  connection.send(JSON.stringify(part));
  connection.send(pen.getImageData(part.x, part.y, part.width, part.height).data);
}

function clear() {
  strokes = [];
  stroke = null;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (connection.readyState !== WebSocket.OPEN) return;
  sent.push({});
  connection.send(JSON.stringify({width: canvas.width, height: canvas.height}));
  connection.send(pen.getImageData(0, 0, canvas.width, canvas.height).data);
}

canvas.addEventListener("pointerdown", (event) => {
  if (role() !== "painter" || event.button) return;
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  draw(last);
});
canvas.addEventListener("pointermove", (event) => {
  if (!last) return;
  for (const each of event.getCoalescedEvents?.() ?? [event]) draw(place(each));
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });

// -- the page ----------------------------------------------------------------------------------------------------

function role() {
  return document.querySelector("input[name=role]:checked").value;
}

function begin() {
  document.body.className = role();
  connect();
}

for (const each of document.querySelectorAll("[data-say]")) each.textContent = say[each.dataset.say];
const name = decodeURIComponent(location.pathname.split("/").pop());
document.title = `wsd: ${name}`;
element("name").textContent = name;
element("png").href = `${location.pathname}.png`;
canvas.width = Number(query.get("width")) || canvas.width;
canvas.height = Number(query.get("height")) || canvas.height;
canvas.setAttribute("aria-label", say.title);
element("colour").value = "#1559b7";
element(query.get("role") === "viewer" ? "role-viewer" : "role-painter").checked = true;
for (const each of document.querySelectorAll("input[name=role]")) {
  each.addEventListener("change", () => {
    connection.close();
    begin();
  });
}
element("clear").addEventListener("click", clear);
begin();
