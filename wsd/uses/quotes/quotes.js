// Quotes: a snapshot of a market, then its changes, and how far this page is behind.

import {formatNumber, say} from "/_wsd/language.js";
import {at, showConnection} from "/uses/shared/frame.js";
import {beBusy} from "./busy.js";
import {Quote} from "./quote.js";
import "./words.js";

const EVERY = 100; // milliseconds between two pictures
const element = (id) => document.getElementById(id);
const quotes = new Map(); // by symbol
const totals = {published: 0, received: 0, shown: 0, lag: null};

const market = new Worker("/uses/quotes/market.js", {type: "module"});
market.postMessage({url: at("/uses/quotes/topics/")});
market.onmessage = ({data}) => {
  if (data.quotes) take(data);
  else showConnection(data.isOpen);
};

function ask() {
  market.postMessage({});
}

// lesson: take
function take({quotes: changed, counts}) {
  for (const [symbol, {price, at: made}] of changed) (quotes.get(symbol) ?? addQuote(symbol)).take(price, made);
  const times = [...changed.values()].map((quote) => quote.at);
  if (times.length) totals.lag = Math.max(0, Date.now() - Math.max(...times));
  totals.received += counts.received;
  totals.shown += changed.size;
  totals.published += counts.published;
  draw(changed.keys());
  setTimeout(ask, EVERY);
}
// end of lesson

function addQuote(symbol) {
  const quote = new Quote(symbol);
  const after = [...quotes.keys()].sort().find((each) => each > symbol);
  quotes.set(symbol, quote);
  quote.row.hidden = !symbol.startsWith(prefix());
  element("quotes").insertBefore(quote.row, quotes.get(after)?.row ?? null);
  visible.observe(quote.row);
  return quote;
}

const shown = new Set(); // symbols whose rows can be seen
const visible = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) {
    if (isIntersecting) shown.add(target.dataset.symbol);
    else shown.delete(target.dataset.symbol);
  }
  draw(entries.map(({target}) => target.dataset.symbol));
}, {root: element("quotes")});

function draw(symbols) {
  const [up, down] = ["up", "down"].map((name) => getComputedStyle(element(name)).color);
  for (const symbol of symbols) if (shown.has(symbol)) quotes.get(symbol).draw({up, down});
}

function prefix() {
  return element("filter").value.trim().toUpperCase();
}

function filter() {
  for (const {symbol, row} of quotes.values()) row.hidden = !symbol.startsWith(prefix());
  element("none").hidden = quotes.size === 0 || [...quotes.values()].some(({row}) => !row.hidden);
}

let since = performance.now();

function drawTotals() {
  const seconds = (performance.now() - since) / 1000;
  since = performance.now();
  const perSecond = (count) => say("perSecond", {count: formatNumber(Math.round(count / seconds))});
  const {lag} = totals;
  element("lag").textContent = lag === null ? "-" : say("milliseconds", {count: formatNumber(lag)});
  for (const name of ["published", "received", "shown"]) element(name).textContent = perSecond(totals[name]);
  Object.assign(totals, {published: 0, received: 0, shown: 0, lag: null});
}

element("filter").addEventListener("input", filter);
element("slow").addEventListener("change", () => beBusy(Number(element("slow").value)));
setInterval(drawTotals, 1000);
ask();
