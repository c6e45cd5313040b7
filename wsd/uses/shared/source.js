// "How it is made": the lines of a page's source that matter, each part with its explanation, the whole files, and the
// commands that copy the page.

import {create} from "/_wsd/element.js";
import {addWords, language, say} from "/_wsd/language.js";

addWords({
  en: {
    "made.title": "How it is made", "made.whole": "Complete file: {file}",
    "made.change": "To change this page, copy it into a folder of your own. Where wsd is installed, these commands do "
      + "that, and serve the copy at http://localhost:8000/uses/{name}/. It connects to this daemon, which "
      + "twistd -n wsd starts.",
    "made.commands": "Commands that copy this page",
  },
  zh: {
    "made.title": "实现方法", "made.whole": "完整文件 {file}",
    "made.change": "想要修改本页，可以把它复制到自己的文件夹。在装有 wsd 的环境中运行以下命令，即可在 "
      + "http://localhost:8000/uses/{name}/ 打开副本。它连接到由 twistd -n wsd 启动的本守护进程。",
    "made.commands": "复制本页的命令",
  },
});

/** The commands of docs/uses.md, for a page and the server that its copy uses. */
function commandsOf(name, server) {
  return [
    `WSD=$(python3 -c 'import os, wsd; print(os.path.dirname(wsd.__file__))')`,
    "mkdir -p mine/uses mine/_wsd && cp -r $WSD/web/static/. mine/_wsd/ && "
      + `cp -r $WSD/uses/{${name},shared,lib} mine/uses/`,
    `sed -i 's|name="wsd-server" content=""|name="wsd-server" content="${server}"|' mine/uses/${name}/index.html`,
    "python3 -m http.server --directory mine 8000",
  ].join("\n");
}

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
export function drawSource(place, name, page, server) {
  const wasOpen = place.querySelector("details")?.open ?? false;
  const content = create("div");
  const made = create("details", {className: "panel made"},
    create("summary", {}, create("h2", {textContent: say("made.title")})), content);
  made.addEventListener("toggle", () => made.open && fill(content, name, page, server), {once: true});
  made.open = wasOpen;
  place.replaceChildren(made);
}

async function fill(content, name, page, server) {
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
  parts.push(create("p", {className: "quiet", textContent: say("made.change", {name})}));
  parts.push(create("div", {id: "commands"}, codeOf(commandsOf(name, server), say("made.commands"))));
  content.replaceChildren(...parts);
}
