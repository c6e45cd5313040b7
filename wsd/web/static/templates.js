// What to start with: a URL, subprotocols and a first message for each protocol of the daemon, and the switches of echo.

import {template as envelope} from "./envelopes.js";

const SOAP = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">
  <s:Header>
    <a:Action>urn:wsd:demonstration:Demonstration:AddRequest</a:Action>
    <a:MessageID>urn:uuid:{{uuid}}</a:MessageID>
  </s:Header>
  <s:Body>
    <Add xmlns="urn:wsd:demonstration"><a>2</a><b>3</b></Add>
  </s:Body>
</s:Envelope>`;

const XMPP = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>';

const BLOB = '{"begin": {"name": "hello.txt", "size": 5}}';

/** {name, path, protocols, kind: the tab of the message, body}. */
export const TEMPLATES = [
  {name: "xmpp", path: "/xmpp", protocols: "xmpp", kind: "text", body: XMPP},
  {name: "soap", path: "/soap", protocols: "soap", kind: "text", body: SOAP},
  {name: "topics", path: "/topics/quotes/ACME?echo", protocols: "", kind: "text", body: "17.5"},
  {name: "topics.wsd.v1", path: "/topics/", protocols: "topics.wsd.v1", kind: "json", body: envelope("subscribe")},
  {name: "blob", path: "/blob", protocols: "", kind: "json", body: '{"name": "hello.txt", "type": "text/plain"}'},
  {name: "blob.wsd.v1", path: "/blob", protocols: "blob.wsd.v1", kind: "json", body: BLOB},
];

/** [path, key of the words that say what happens there]. */
export const EXAMPLES = [
  ["/echo", "presetPlain"],
  ["/echo?delay=500", "presetDelay"],
  ["/echo?push=1000", "presetPush"],
  ["/echo?close=4000&reason=enough", "presetClose"],
  ["/echo?abrupt", "presetAbrupt"],
  ["/echo?fragment=16", "presetFragment"],
  ["/echo?repeat=3", "presetRepeat"],
  ["/echo?size=65536", "presetSize"],
  ["/echo?nodeflate", "presetNodeflate"],
  ["/ws", "presetWs"],
  ["/describe", "presetDescribe"],
  ["/blob", "presetBlob"],
  ["/topics/chat", "presetTopics"],
];
