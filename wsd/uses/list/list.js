// The list of the pages: a picture and a sentence for each, as their page.json say.

import {create} from "/_wsd/element.js";
import {addWords, language} from "/_wsd/language.js";

addWords({
  en: {
    pageTitle: "Uses - wsd", "uses.title": "Uses",
    "uses.about": "What people build on WebSockets. Open a page in two windows, and see what passes between them.",
  },
  zh: {
    pageTitle: "示例 - wsd", "uses.title": "示例",
    "uses.about": "WebSocket 的常见用途。在两个窗口中打开同一页面，就能看到它们之间如何通信。",
  },
});

function cardOf({name, title, sentence}) {
  const picture = create("img", {src: `/uses/${name}/picture.svg`, alt: "", width: 320, height: 160});
  const link = create("a", {href: `/uses/${name}`, textContent: title[language()]});
  return create("li", {className: "panel"}, picture, create("h2", {}, link),
    create("p", {textContent: sentence[language()]}));
}

const pages = await (await fetch("/uses/pages.json")).json();
const draw = () => document.getElementById("uses").replaceChildren(...pages.map(cardOf));
document.addEventListener("language", draw);
draw();
