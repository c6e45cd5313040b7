// The words of the page of editing together.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    document: "Document: {name}", new: "New document", goOffline: "Work offline", goOnline: "Connect again",
    here: "Here now", text: "Text of the document",
    empty: "Write something. Everyone who opens this document sees it.",
    connecting: "Connecting...", online: "Connected. Every edit is stored on the server, and everyone sees it at once.",
    offline: "Offline. Your edits are only in this window until it is connected again: keep it open.",
    closed: "The server closed the connection: {reason}",
    missing: `The server has no route /yjs/*. Install what it needs, and start it again: pip install "txwsd[yjs]"`,
  },
  zh: {
    document: "文档：{name}", new: "新建文档", goOffline: "离线编辑", goOnline: "重新连接",
    here: "当前在线", text: "文档正文",
    empty: "写点什么吧，打开此文档的人都能看到。",
    connecting: "正在连接…", online: "已连接。每次编辑都会保存到服务器，其他人立即可见。",
    offline: "离线中。重新连接之前，你的编辑只保存在本窗口中，请不要关闭。",
    closed: "服务器关闭了连接：{reason}",
    missing: `服务器没有路由 /yjs/*。请安装所需的库后重新启动：pip install "txwsd[yjs]"`,
  },
});
