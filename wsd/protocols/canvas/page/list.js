// The list of canvases, refreshed while it is looked at, and the form that opens one.

import {addWords, say} from "/_wsd/language.js";
import {visits} from "./visits.js";

const WORDS = {
  en: {
    pageTitle: "Canvases – wsd", title: "Canvases",
    about: "Everyone who opens the same canvas paints on it together, and sees each stroke at once.",
    create: "New canvas", name: "Name", size: "Size", sizeWindow: "Fits this window",
    sizeUsual: "400 × 320, as in the tutorial", open: "Open",
    hint: "1 to 64 letters, digits, “-”, “_” and “.”",
    nameEmpty: "Enter a name for the canvas.",
    nameLong: "This name is too long. Use at most 64 characters.",
    nameBad: "A name cannot contain “{text}”. Use the letters a to z, digits, “-”, “_” and “.”.",
    nameSpace: "A name cannot contain spaces. Use “-” or “_” instead.",
    nameDots: "“.” and “..” cannot be names. Choose another one.",
    namePng: "A name cannot end in “.png”: that is the address of the picture.",
    none: "No canvases yet. Enter a name to open the first one.",
    unlisted: "This server does not list its canvases. These are the ones that you have opened in this browser.",
    noneMine: "You have not opened a canvas in this browser yet.",
    unreachable: "The server does not answer. The list is refreshed as soon as it does.",
    noPictures: "There are no previews: Pillow is not installed on the server (pip install Pillow).",
    blank: "Nothing painted yet", noPreview: "No preview",
    watching: "{number} watching", nobody: "nobody here now",
  },
  zh: {
    pageTitle: "画布 – wsd", title: "画布",
    about: "打开同一画布的人可以一起作画，并实时看到每一笔。",
    create: "新建画布", name: "名称", size: "尺寸", sizeWindow: "适合当前窗口",
    sizeUsual: "400 × 320（教程所用）", open: "打开",
    hint: "1 至 64 个英文字母、数字、“-”、“_”或“.”",
    nameEmpty: "请输入画布名称。",
    nameLong: "名称过长，最多 64 个字符。",
    nameBad: "名称不能包含“{text}”。请使用英文字母、数字、“-”、“_”和“.”。",
    nameSpace: "名称不能包含空格，可改用“-”或“_”。",
    nameDots: "名称不能是“.”或“..”，请换一个名称。",
    namePng: "名称不能以“.png”结尾：该地址用于画布的图片。",
    none: "还没有画布。输入名称即可打开第一个。",
    unlisted: "此服务器不列出画布。以下是您在此浏览器中打开过的画布。",
    noneMine: "您还没有在此浏览器中打开过画布。",
    unreachable: "服务器没有响应，恢复后将自动刷新列表。",
    noPictures: "无法显示预览图：服务器未安装 Pillow；安装命令：pip install Pillow",
    blank: "尚未作画", noPreview: "无预览图",
    watching: "{number} 人在看", nobody: "无人在看",
  },
};
const AGAIN = 3000; // milliseconds between two looks at the list
const AROUND = [32, 150]; // pixels of the window around a canvas that fills it, at its sides and above and below
const AROUND_NARROW = [20, 264];
const element = (id) => document.getElementById(id);
const {route, png, list, most} = document.body.dataset;
const isListed = list === "true";

let canvases = [];
let isLoaded = false;
let wrong = null; // the key of the sentence about the name, and its values

// -- the list ----------------------------------------------------------------------------------------------------

async function load() {
  if (!isListed) {
    canvases = visits().map((name) => ({name, url: `${route}/${name}`}));
  } else if (!document.hidden) {
    try {
      const answer = await fetch(route, {headers: {Accept: "application/json"}});
      canvases = (await answer.json()).canvases;
      element("unreachable").hidden = true;
    } catch {
      element("unreachable").hidden = false;
    }
    setTimeout(load, AGAIN);
  } else {
    document.addEventListener("visibilitychange", load, {once: true});
    return;
  }
  isLoaded = true;
  draw();
}

/** Those with people first, then the ones that were painted last. */
function order(one, other) {
  return (other.watching ?? 0) - (one.watching ?? 0) || (other.time ?? 0) - (one.time ?? 0);
}

function draw() {
  const old = new Map([...element("canvases").children].map((item) => [item.dataset.name, item]));
  const sorted = isListed ? canvases.toSorted(order) : canvases;
  const items = sorted.map((canvas) => drawn(old.get(canvas.name) ?? made(canvas), canvas));
  // Only what has moved is moved, so that the focus stays where it is.
  items.forEach((item, index) => {
    const there = element("canvases").children[index];
    if (there !== item) element("canvases").insertBefore(item, there ?? null);
  });
  while (element("canvases").children.length > items.length) element("canvases").lastElementChild.remove();
  element("none").hidden = !isLoaded || canvases.length > 0;
  element("none").textContent = say(isListed ? "none" : "noneMine");
  const note = !isListed ? "unlisted" : png !== "true" && canvases.length ? "noPictures" : null;
  element("note").hidden = !note;
  if (note) element("note").textContent = say(note);
}

function made({name, url}) {
  const item = element("entry").content.cloneNode(true).firstElementChild;
  item.dataset.name = name;
  item.querySelector("a").href = url;
  item.querySelector(".name").textContent = name;
  return item;
}

function drawn(item, {width, height, watching, frame, png: picture}) {
  item.querySelector(".size").textContent = frame ? `${width} × ${height}` : "";
  if (watching !== undefined) {
    item.querySelector(".watching").textContent = watching ? say("watching", {number: watching}) : say("nobody");
  }
  const place = item.querySelector(".picture");
  if (!picture) {
    place.textContent = isListed ? say(frame ? "noPreview" : "blank") : "";
    place.hidden = !isListed;
  } else if (item.dataset.frame !== String(frame)) {
    item.dataset.frame = frame;
    const image = Object.assign(new Image(), {alt: "", src: `${picture}?${frame}`});
    image.decode().then(() => place.replaceChildren(image), () => {}); // the old one stays where the new one fails
  }
  return item;
}

// -- the form ----------------------------------------------------------------------------------------------------

/** Returns what is wrong with a name, null if nothing is. */
function faultOf(name) {
  if (!name) return ["nameEmpty"];
  if (/\s/.test(name)) return ["nameSpace"];
  const bad = name.match(/[^A-Za-z0-9._-]/u);
  if (bad) return ["nameBad", {text: bad[0]}];
  if (name.length > 64) return ["nameLong"];
  if (name === "." || name === "..") return ["nameDots"];
  return name.endsWith(".png") ? ["namePng"] : null;
}

function showWrong() {
  element("wrong").hidden = !wrong;
  element("wrong").textContent = wrong ? say(...wrong) : "";
  element("hint").hidden = Boolean(wrong);
  element("name").toggleAttribute("aria-invalid", Boolean(wrong));
  if (wrong) element("name").setAttribute("aria-invalid", "true");
}

/** The query for a size; "" for the usual one. A canvas for the window has at most as many pixels as the server takes. */
function queryOf(size) {
  let [width, height] = size.split("x").map(Number);
  if (size === "") return "";
  if (size === "window") {
    const around = matchMedia("(max-width: 760px)").matches ? AROUND_NARROW : AROUND;
    [width, height] = [innerWidth - around[0], innerHeight - around[1]].map((each) => Math.max(200, each));
  }
  const scale = Math.min(1, Math.sqrt(Number(most) / (width * height)));
  return `?width=${Math.floor(width * scale)}&height=${Math.floor(height * scale)}`;
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = element("name").value.trim();
  wrong = faultOf(name);
  showWrong();
  if (wrong) element("name").focus();
  else location.assign(`${route}/${name}${queryOf(element("size").value)}`);
});
element("name").addEventListener("input", () => {
  wrong = null;
  showWrong();
});
document.addEventListener("language", () => {
  draw();
  showWrong();
});
addWords(WORDS);
draw();
load();
