// Puts the page together: the store in the middle, the stream feeding it, the views drawing it.

import { Alerts } from './alerts.js';
import { Bars, legend } from './bars.js';
import { Chart } from './chart.js';
import { byId, el, empty, text } from './dom.js';
import { arrow, clock, compact, count, day, moveDirection, percent, price, symbolParts, windowLabel } from './format.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { Strip } from './strip.js';
import { Watchlist, reference, waitingFor } from './watchlist.js';

const BARS = 500;
const store = new Store();
let hovered = null;

const chart = new Chart(byId('chart'), (bar) => {
  hovered = bar;
  drawLegend();
});
const watchlist = new Watchlist(store, (symbol) => choose(symbol));
new Bars(store);
new Alerts(store, (symbol) => store.quotes.has(symbol) && choose(symbol));
new Strip(store);

const stream = new Stream({ onEvent: receive, onState: connection });

function receive(name, data) {
  if (name === 'snapshot') store.snapshot(data);
  else if (name === 'price') store.price(data);
  else if (name === 'metric') store.metric(data);
  else if (name === 'alert') store.alert(data);
  else if (name === 'pipeline') store.setPipeline(data);
  // `lagged` needs nothing: what follows it is the latest state of all that changed meanwhile.
  if (name === 'snapshot' || name === 'price') settle();
  // A snapshot after a break comes without the bars of the break.
  if (name === 'snapshot' && store.series.loaded) load(store.series.symbol, store.series.window);
}

/** Chooses what the address names, else the first symbol; and a window as soon as there is one. */
function settle() {
  const { symbol, window } = store.series;
  if (symbol && store.quotes.has(symbol) && (window || !store.windows(symbol).length)) return;
  const [wantedSymbol, wantedWindow] = fromAddress();
  const first = store.quotes.has(wantedSymbol) ? wantedSymbol : symbol && store.quotes.has(symbol) ? symbol : watchlist.shown()[0];
  if (first) choose(first, wantedWindow);
}

function fromAddress() {
  const text = decodeURIComponent(location.hash.slice(1));
  const at = text.lastIndexOf('@');
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function choose(symbol, wanted = store.series.window) {
  const windows = store.windows(symbol);
  const window = windows.includes(wanted) ? wanted : windows.includes('1m') ? '1m' : windows[0] ?? null;
  if (!store.choose(symbol, window)) return;
  hovered = null;
  history.replaceState(null, '', `#${symbol}${window ? `@${window}` : ''}`);
  stream.follow(window ? `${symbol}@${window}` : 'none');
  if (window) load(symbol, window);
}

/** The history of the chosen series. A failure is told in the chart's place and tried again. */
async function load(symbol, window, attempt = 0) {
  const still = () => store.series.symbol === symbol && store.series.window === window;
  try {
    const answer = await fetch(`/v1/bars?${new URLSearchParams({ symbol, window, limit: BARS })}`);
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error ?? `status ${answer.status}`);
    store.loadBars(body);
  } catch (error) {
    if (!still()) return;
    empty(byId('chart-empty'), 'The bars did not come', `${error.message}. Trying again.`);
    setTimeout(() => still() && load(symbol, window, attempt + 1), Math.min(15000, 1000 * 2 ** attempt));
  }
}

store.on('chosen', () => {
  drawHead();
  drawWindows();
  drawLegend();
  chart.show({ ...store.series, bars: new Map(), window: store.series.window ?? '1m' }, false);
  drawEmpty();
});
store.on('bars', () => {
  chart.show(store.series, true);
  drawLegend();
  drawEmpty();
});
store.on('bar', ({ bar, inOrder }) => {
  chart.update(bar, inOrder);
  drawLegend();
  drawEmpty();
});
store.on('quotes', () => {
  drawHead();
  drawWindows();
});
store.on('price', (symbol) => symbol === store.series.symbol && drawHead());
store.on('pipeline', () => drawEmpty());

function drawHead() {
  const quote = store.quotes.get(store.series.symbol);
  const { venue, name } = symbolParts(store.series.symbol ?? '–');
  text(byId('symbol'), name);
  text(byId('venue'), venue);
  text(byId('last'), quote ? price(quote.price, quote.digits) : '');
  text(byId('change'), quote ? `${arrow(quote.change_pct)} ${percent(quote.change_pct)}`.trim() : '');
  byId('change').dataset.dir = moveDirection(quote?.change_pct);
  byId('change').title = quote?.reference ? `against ${quote.reference.price}, ${reference(quote.reference)}` : '';
  const about = [];
  if (quote?.size) about.push(`${quote.side ? `${quote.side} ` : ''}${compact(quote.size)}`);
  if (quote?.bid !== undefined && quote?.ask !== undefined) about.push(`bid ${price(quote.bid, quote.digits)}`, `ask ${price(quote.ask, quote.digits)}`);
  if (quote) about.push(quote.kind === 'bar' ? day(quote.time) : `${day(quote.time)} ${clock(quote.time)}`);
  text(byId('about'), about.join(' · '));
  document.title = quote ? `${name} ${price(quote.price, quote.digits)} · Finflow` : 'Finflow';
}

function drawWindows() {
  const { symbol, window } = store.series;
  const windows = symbol ? store.windows(symbol) : [];
  const key = `${windows.join()} ${window}`;
  const node = byId('windows');
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...windows.map((name) => {
    const [size, slide] = name.split('/');
    const button = el('button', { type: 'button', 'aria-pressed': String(name === window), title: slide ? `${size}, a new one every ${slide}` : size }, windowLabel(name));
    button.addEventListener('click', () => choose(symbol, name));
    return button;
  }));
}

function drawLegend() {
  const bar = hovered ? store.series.bars.get(hovered.start) ?? hovered : store.lastBar();
  byId('legend').replaceChildren(...legend(bar, { ...store.series, window: store.series.window ?? '1m' }, store.lastBar()?.start));
}

function drawEmpty() {
  const { symbol, window, loaded, bars } = store.series;
  const node = byId('chart-empty');
  if (bars.size) return empty(node);
  const stage = store.pipeline?.groups?.find((group) => group.stage === 'aggregate');
  if (!symbol) return empty(node, 'Nothing to draw yet', waitingFor(store.pipeline));
  if (window && !loaded) return empty(node, 'Loading', `${symbol}, ${window}`);
  const behind = stage?.behind ? ` It is ${count(stage.lag)} records behind.` : '';
  return empty(node, 'No bars yet', `Waiting for the first metrics of ${symbol} from the aggregate stage.${behind}`);
}

function connection(state, detail) {
  const node = byId('link');
  const words = { connecting: 'Connecting', live: 'Live', lost: 'Connection lost', paused: 'Paused while hidden' };
  node.dataset.state = document.documentElement.dataset.link = state;
  text(node.lastElementChild, state === 'lost' && detail > 1 ? `${words[state]}, next try in ${detail} s` : words[state]);
}

function theme() {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem('finflow-theme', next);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
  chart.theme();
}

function stepWindow(step) {
  const windows = store.windows(store.series.symbol);
  const next = windows[windows.indexOf(store.series.window) + step];
  if (next) choose(store.series.symbol, next);
}

const KEYS = {
  j: () => watchlist.step(1),
  ArrowDown: () => watchlist.step(1),
  k: () => watchlist.step(-1),
  ArrowUp: () => watchlist.step(-1),
  '[': () => stepWindow(-1),
  ']': () => stepWindow(1),
  f: () => chart.fit(),
  t: theme,
  '/': () => byId('filter').focus(),
  '?': () => byId('keys').showModal(),
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches('input');
  if (typing && event.key === 'Escape') return event.target.blur();
  if (typing || byId('keys').open || !KEYS[event.key]) return;
  // Arrows scroll the table that has the focus, as they should.
  if (event.key.startsWith('Arrow') && event.target.closest('#bars')) return;
  event.preventDefault();
  KEYS[event.key]();
});

byId('theme').addEventListener('click', theme);
byId('help').addEventListener('click', () => byId('keys').showModal());
addEventListener('hashchange', () => {
  const [symbol, window] = fromAddress();
  if (store.quotes.has(symbol)) choose(symbol, window);
});

const tick = () => text(byId('clock'), `${new Date().toISOString().slice(11, 19)} UTC`);
tick();
setInterval(tick, 1000);
stream.open();
