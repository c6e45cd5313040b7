// The worker of the page of quotes: it takes every price, and gives the page the newest ones whenever the page asks.

import {Topics} from "/_wsd/wsd-topics.js";

let changed = new Map(); // {price, at} by symbol, since the page has asked
let counts = {received: 0, published: 0};
let newest = [null, 0]; // epoch and offset of the newest position

function begin(url) {
  const topics = new Topics(url);
  for (const name of ["open", "close"]) topics.addEventListener(name, () => postMessage({isOpen: name === "open"}));
  // lesson: subscribe
  topics.subscribe("market", {
    last: true,
    onmessage: ({key, payload, position}) => {
      changed.set(key, payload);
      count(position);
    },
  });
  // end of lesson
}

// lesson: count
function count(position) {
  const [epoch, text] = position.split("-");
  const offset = Number(text);
  const isNew = epoch !== newest[0]; // at first, and when the server has lost what it kept
  counts.received += 1;
  counts.published += isNew ? 1 : Math.max(0, offset - newest[1]);
  newest = [epoch, isNew ? offset : Math.max(offset, newest[1])];
}
// end of lesson

// lesson: worker
onmessage = ({data}) => {
  if (data.url) {
    begin(data.url);
    return;
  }
  postMessage({quotes: changed, counts});
  changed = new Map();
  counts = {received: 0, published: 0};
};
// end of lesson
