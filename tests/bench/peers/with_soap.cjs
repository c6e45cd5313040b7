// The server of npm's soap, on node's own HTTP; the argument is the contract. A CommonJS module, for NODE_PATH's sake.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const soap = require("soap");

const contract = fs.readFileSync(process.argv[2], "utf8");
const operations = {
  Echo: (asked, answer) => answer({ result: asked.text }),
  Order: (asked, answer) => answer({ result: asked.lines }),
};
const server = http.createServer((request, response) => response.end());
server.listen(0, "127.0.0.1", () => {
  const services = { Bench: { Soap11: operations } };
  soap.listen(server, "/", services, contract, () => console.log(`listening ${server.address().port}`));
});
