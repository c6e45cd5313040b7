// ws on node, with bufferutil. A CommonJS module, since NODE_PATH, which says where ws is, is for those only.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { WebSocketServer } = require("ws");
require("bufferutil"); // ws takes it when it is there; here it must be

const asked = process.argv.slice(2);
const pem = asked[asked.indexOf("--tls") + 1];
const server = asked.includes("--tls")
  ? https.createServer({ cert: fs.readFileSync(pem), key: fs.readFileSync(pem) })
  : http.createServer();
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: asked.includes("--deflate"),
  maxPayload: 32 * 1024 * 1024,
});

sockets.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => {
    if (!asked.includes("--fanout")) socket.send(data, { binary });
    else for (const each of sockets.clients) each.send(data, { binary });
  });
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(`listening ${server.address().port}`));
