// A SOAP backend on npm's soap: `node soap.cjs WSDL` says its port; every operation is answered with what it was asked.

const fs = require("fs");
const http = require("http");
const soap = require("soap");

const text = fs.readFileSync(process.argv[2], "utf8");
function operation(name) {
  return (args, callback) => {
    if (name === "Fail") {
      throw {Fault: {faultcode: "soap:Server", faultstring: "it failed", detail: {Problem: {code: 7}}}};
    }
    if (name === "Slow") setTimeout(() => callback(args), Number(args.milliseconds));
    else callback(args);
  };
}

const names = [...text.matchAll(/<wsdl:operation name="(\w+)"/g)].map((found) => found[1]);
const port = Object.fromEntries(names.map((name) => [name, operation(name)]));
const server = http.createServer((request, response) => response.end());
server.listen(0, "127.0.0.1", () => {
  soap.listen(server, {
    path: "/service",
    services: {Library: {Soap11: port}},
    xml: text,
    // As a Date it would come back with a time of day.
    customDeserializer: {date: (day) => day},
    callback: () => console.log(server.address().port),
  });
});
