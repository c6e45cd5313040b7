// The header of every page: what this daemon serves, the language and the theme. It fills <header id="site-header">.

import {create} from "./element.js";
import {addWords, choose, language, say, translate} from "./language.js";
import {recall, remember} from "./memory.js";
import {cachedSite, loadSite} from "./site.js";

const THEMES = ["auto", "light", "dark"];
const header = document.getElementById("site-header");

addWords({
  en: {
    "header.pages": "Pages", "header.console": "Console", "header.canvas": "Canvas", "header.files": "Files",
    "header.soap": "SOAP", "header.topics": "Topics", "header.uses": "Uses", "header.status": "Status",
    "header.language": "Language", "header.theme": "Theme", "header.auto": "Auto", "header.light": "Light",
    "header.dark": "Dark",
  },
  zh: {
    "header.pages": "页面", "header.console": "控制台", "header.canvas": "画布", "header.files": "文件",
    "header.soap": "SOAP", "header.topics": "主题", "header.uses": "示例", "header.status": "状态",
    "header.language": "语言", "header.theme": "外观", "header.auto": "自动", "header.light": "浅色",
    "header.dark": "深色",
  },
});

function brandOf() {
  const icon = create("img", {src: "/_wsd/icon.svg", alt: "", width: 22, height: 22});
  return create("a", {className: "brand"}, icon, "wsd");
}

function languagesOf() {
  const group = create("div", {className: "languages"});
  group.setAttribute("role", "group");
  for (const [name, lang, text] of [["en", "en", "English"], ["zh", "zh-CN", "简体中文"]]) {
    const button = create("button", {type: "button", lang, textContent: text});
    button.dataset.language = name;
    button.addEventListener("click", () => choose(name));
    group.append(button);
  }
  return group;
}

function themesOf() {
  const select = create("select", {id: "theme"}, ...THEMES.map((value) => create("option", {value})));
  select.value = document.documentElement.dataset.theme ?? "auto";
  select.addEventListener("change", () => {
    remember("theme", select.value);
    applyTheme(select.value);
  });
  return select;
}

function applyTheme(name) {
  if (name === "light" || name === "dark") document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  document.getElementById("theme").value = name;
}

function drawPages(site) {
  if (!site) return;
  const home = site.pages.find(({name}) => name === "console");
  if (home) header.querySelector(".brand").href = home.path;
  const current = currentOf(site.pages);
  header.querySelector("nav ul").replaceChildren(...site.pages.map(({name, path}) => {
    const link = create("a", {href: path, textContent: say(`header.${name}`)});
    link.dataset.page = name;
    if (path === current) link.setAttribute("aria-current", "page");
    return create("li", {}, link);
  }));
  header.querySelector("[aria-current]")?.scrollIntoView({block: "nearest", inline: "center"});
}

/** The path of the page that is shown: the longest one at or above the address. */
function currentOf(pages) {
  const here = location.pathname;
  const above = ({path}) => here === path || (path !== "/" && here.startsWith(`${path.replace(/\/$/, "")}/`));
  return pages.filter(above).sort((one, other) => other.path.length - one.path.length)[0]?.path;
}

/** Puts the header into the current language. */
function drawWords() {
  header.querySelector("nav").setAttribute("aria-label", say("header.pages"));
  for (const link of header.querySelectorAll("[data-page]")) link.textContent = say(`header.${link.dataset.page}`);
  header.querySelector(".languages").setAttribute("aria-label", say("header.language"));
  for (const button of header.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language()));
  }
  header.querySelector("select").setAttribute("aria-label", say("header.theme"));
  header.querySelector("select").title = say("header.theme");
  for (const option of header.querySelectorAll("option")) option.textContent = say(`header.${option.value}`);
}

function drawHeader() {
  const nav = create("nav", {}, create("ul"));
  header.replaceChildren(brandOf(), nav, create("div", {className: "choices"}, languagesOf(), themesOf()));
  drawPages(cachedSite());
  drawWords();
  document.addEventListener("language", drawWords);
  loadSite().then(drawPages);
}

// Another page of this browser has chosen.
window.addEventListener("storage", ({key}) => {
  if (key === "wsd.theme") applyTheme(recall("theme") ?? "auto");
  if (key === "wsd.language" && recall("language") && recall("language") !== language()) {
    document.documentElement.lang = recall("language") === "zh" ? "zh-CN" : "en";
    translate();
  }
});

drawHeader();
