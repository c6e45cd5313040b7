// "How it is made": the lines of a page's source that matter, each part with its explanation, and the whole files.

import {create} from "/_wsd/element.js";
import {addWords, language, say} from "/_wsd/language.js";

addWords({
  en: {
    "made.title": "How it is made", "made.whole": "Complete file: {file}",
    "made.copy": "To change it, copy this page into a folder of your own: docs/uses.md has the four commands.",
  },
  zh: {
    "made.title": "实现方法", "made.whole": "完整文件 {file}",
    "made.copy": "想要修改时，把本页复制到自己的文件夹即可：docs/uses.md 中有所需的四条命令。",
  },
});

const BEGIN = /^\s*(?:\/\/|#) lesson: (\S+)$/;
const END = /^\s*(?:\/\/|#) end of lesson$/;

/** The parts of a source that lie between `// lesson: NAME` and `// end of lesson`, by name. */
export function lessonsOf(source) {
  const lessons = new Map();
  let current = null;
  for (const line of source.split("\n")) {
    if (BEGIN.test(line)) lessons.set(BEGIN.exec(line)[1], current = []);
    else if (END.test(line)) current = null;
    else current?.push(line);
  }
  return new Map([...lessons].map(([name, lines]) => [name, unindented(lines)]));
}

function unindented(lines) {
  const indents = lines.filter((line) => line.trim()).map((line) => /^ */.exec(line)[0].length);
  return lines.map((line) => line.slice(Math.min(...indents))).join("\n").trim();
}

/** An explanation, with the names of calls between backticks. */
function explanationOf(words) {
  const parts = words.split("`").map((part, place) => (place % 2 ? create("code", {textContent: part}) : part));
  return create("p", {}, ...parts);
}

/** A block of code that the keyboard can scroll. */
function codeOf(text, label) {
  const block = create("pre", {tabIndex: 0}, create("code", {textContent: text}));
  block.setAttribute("role", "region");
  block.setAttribute("aria-label", label);
  return block;
}

const sources = new Map();

async function sourceOf(path) {
  if (!sources.has(path)) sources.set(path, await (await fetch(path)).text());
  return sources.get(path);
}

/** Fills the place with a folded section, which loads the source when it is opened. */
export function drawSource(place, name, page) {
  const wasOpen = place.querySelector("details")?.open ?? false;
  const content = create("div");
  const made = create("details", {className: "panel made"},
    create("summary", {}, create("h2", {textContent: say("made.title")})), content);
  made.addEventListener("toggle", () => made.open && fill(content, name, page), {once: true});
  made.open = wasOpen;
  place.replaceChildren(made);
}

async function fill(content, name, page) {
  const files = page.source ?? [`${name}.js`];
  const pathOf = (file) => (file.includes("/") ? `/uses/${file}` : `/uses/${name}/${file}`);
  const texts = await Promise.all(files.map((file) => sourceOf(pathOf(file))));
  const parts = [];
  for (const text of texts) {
    for (const [lesson, code] of lessonsOf(text)) {
      const words = page.lessons[lesson][language()];
      parts.push(explanationOf(words), codeOf(code, words.replaceAll("`", "")));
    }
  }
  for (const [index, file] of files.entries()) {
    const title = say("made.whole", {file});
    parts.push(create("details", {}, create("summary", {textContent: title}), codeOf(texts[index].trimEnd(), title)));
  }
  content.replaceChildren(...parts, create("p", {className: "quiet", textContent: say("made.copy")}));
}
