// An echo server of npm's ws, which also sends a message in fragments, or many at once: prints its port.
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(import.meta.url)("../../node_modules/ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket, request) => {
  if (request.url === "/fragments") {
    socket.send("frag", { fin: false });
    socket.ping("between");
    socket.send("ments", { fin: true });
  }
  if (request.url === "/flood") {
    for (let number = 0; number < 800; number++) {
      socket.send(Buffer.alloc(65536, number), { compress: false });
    }
  }
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
