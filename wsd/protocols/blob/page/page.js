// The page of a route of blobs: sends files, shows how far they are, and where they are when they are kept.

import {upload} from "/_wsd/wsd-blob.js";

const WORDS = {
  en: {
    title: "Files that are kept", send: "Send files", choose: "Choose files, or drop them here", way: "Way",
    reliable: "reliable", bare: "bare", sent: "Sent from this page", none: "Nothing yet.", cancel: "Cancel",
    means: {
      reliable: "blob.wsd.v1: goes on by itself when the connection is lost or the server restarts.",
      bare: "connection.send(file): one message is one file. What is lost on the way is sent again by you.",
    },
    waiting: "waiting", progress: (kept, size) => `${kept} of ${size} on the server's disk`,
    moving: (left) => `${left} still to be sent`, done: "kept", canceled: "canceled",
    failed: (why) => `not kept: ${why}`, lost: "the connection was lost",
  },
  zh: {
    title: "保存的文件", send: "发送文件", choose: "选择文件，或拖放到这里", way: "方式",
    reliable: "可靠", bare: "直接", sent: "本页已发送", none: "还没有。", cancel: "取消",
    means: {
      reliable: "blob.wsd.v1：连接中断或服务器重启后自动续传。",
      bare: "connection.send(file)：一条消息就是一个文件。中途丢失时需要重新发送。",
    },
    waiting: "等待中", progress: (kept, size) => `${size} 中的 ${kept} 已写入服务器磁盘`,
    moving: (left) => `还剩 ${left} 待发送`, done: "已保存", canceled: "已取消",
    failed: (why) => `未保存：${why}`, lost: "连接已中断",
  },
};
const say = WORDS[document.documentElement.lang.startsWith("zh") ? "zh" : "en"];
const route = document.body.dataset.route;
const element = (id) => document.getElementById(id);

function translate(root) {
  for (const each of root.querySelectorAll("[data-say]")) each.textContent = say[each.dataset.say];
}

function sizeOf(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(1)} ${"KMGT"[power - 1]}iB`;
}

/** One file's place in the list. */
class Row {
  #node = element("row").content.cloneNode(true).firstElementChild;
  aborter = new AbortController();

  constructor(file) {
    translate(this.#node);
    this.#at("name").textContent = file.name;
    this.#at("size").textContent = sizeOf(file.size);
    this.#at("cancel").addEventListener("click", () => this.aborter.abort());
    this.#say(say.waiting);
    element("none").hidden = true;
    element("files").prepend(this.#node);
  }

  #at(name) {
    return this.#node.querySelector(`.${name}`);
  }

  #say(sentence, kind = "") {
    this.#at("state").textContent = sentence;
    this.#at("state").className = `state quiet ${kind}`;
  }

  show(part, sentence) {
    this.#node.querySelector("progress").value = part;
    this.#say(sentence);
  }

  done(receipt) {
    this.#end(say.done, "good");
    const link = this.#at("link");
    link.href = link.textContent = receipt.url;
    this.#at("type").textContent = receipt.type;
    this.#at("hash").textContent = `sha256 ${receipt.sha256}`;
    this.#at("receipt").hidden = false;
  }

  failed(error) {
    this.#end(this.aborter.signal.aborted ? say.canceled : say.failed(error.message), "bad");
  }

  #end(sentence, kind) {
    this.#node.querySelector("progress").hidden = true;
    this.#at("cancel").hidden = true;
    this.#say(sentence, kind);
  }
}

function sendReliable(file, row) {
  return upload(route, file, {
    signal: row.aborter.signal,
    onprogress: ({acknowledged, size}) => {
      row.show(size ? acknowledged / size : 1, say.progress(sizeOf(acknowledged), sizeOf(size)));
    },
  });
}

/** The tutorial's way: connection.send(file). */
function sendBare(file, row) {
  return new Promise((resolve, reject) => {
    const connection = new WebSocket(new URL(route, location.href.replace(/^http/, "ws")));
    row.aborter.signal.addEventListener("abort", () => connection.close());
    connection.onopen = () => {
      connection.send(JSON.stringify({name: file.name, type: file.type}));
      connection.send(file);
      const look = setInterval(() => {
        const left = connection.bufferedAmount;
        if (connection.readyState !== WebSocket.OPEN) clearInterval(look);
        else row.show(file.size ? Math.max(0, 1 - left / file.size) : 1, say.moving(sizeOf(left)));
      }, 100);
    };
    connection.onmessage = ({data}) => {
      const answer = JSON.parse(data);
      if (answer.error) reject(new Error(answer.error.message));
      else resolve(answer);
      connection.close();
    };
    connection.onclose = ({reason}) => reject(new Error(reason || say.lost));
  });
}

const way = () => document.querySelector("input[name=way]:checked").value;

async function send(files) {
  const ways = {reliable: sendReliable, bare: sendBare};
  const rows = [...files].map((file) => [file, new Row(file)]);
  const chosen = ways[way()];
  for (const [file, row] of rows) {
    try {
      row.aborter.signal.throwIfAborted();
      row.done(await chosen(file, row));
    } catch (error) {
      row.failed(error);
    }
  }
}

function explain() {
  element("way-means").textContent = say.means[way()];
}

translate(document);
document.title = `wsd: ${say.title}`;
element("file").addEventListener("change", ({target}) => {
  send([...target.files]);
  target.value = "";
});
for (const radio of document.querySelectorAll("input[name=way]")) radio.addEventListener("change", explain);
const drop = element("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") send(event.dataTransfer.files);
  });
}
explain();
