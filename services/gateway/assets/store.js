// What the page knows: quotes, the bars of the chosen series, alerts, the state of the pipeline. Pure: it is fed with
// the events of /v1/stream and says what changed; drawing is for others.

import { compareWindows, decimals } from './format.js';

const SPARK_POINTS = 60;
const ALERTS = 200;
const BARS = 1000;

export class Store {
  constructor() {
    this.quotes = new Map();
    this.alerts = [];
    this.pipeline = null;
    /** The chosen series: its bars by their start, oldest first. */
    this.series = { symbol: null, window: null, bars: new Map(), loaded: false, digits: 2 };
    this.listeners = new Map();
  }

  on(name, listener) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }

  emit(name, detail) {
    for (const listener of this.listeners.get(name) ?? []) listener(detail);
  }

  /** Everything anew: at the start, and whenever the server cannot tell what was missed. */
  snapshot({ quotes, alerts, pipeline }) {
    this.quotes.clear();
    for (const quote of quotes) this.quotes.set(quote.symbol, withDisplay(quote));
    this.alerts = alerts.slice(0, ALERTS);
    this.emit('quotes');
    this.emit('alerts');
    if (pipeline) this.setPipeline(pipeline);
  }

  setPipeline(pipeline) {
    this.pipeline = pipeline;
    this.emit('pipeline');
  }

  /** The latest price of one symbol. Fields that the event leaves out keep their value. */
  price(quote) {
    const old = this.quotes.get(quote.symbol);
    const merged = withDisplay({ ...old, ...quote }, old);
    merged.spark = old?.spark ?? [];
    merged.moved = old && old.price !== quote.price ? Math.sign(quote.price - old.price) : 0;
    extendSpark(merged, quote);
    this.quotes.set(quote.symbol, merged);
    this.emit(old && windowsKey(old) === windowsKey(merged) ? 'price' : 'quotes', quote.symbol);
  }

  /** Points the page at another series. Its bars come by `loadBars`, and meanwhile by `metric`. */
  choose(symbol, window) {
    if (this.series.symbol === symbol && this.series.window === window) return false;
    this.series = { symbol, window, bars: new Map(), loaded: false, digits: this.quotes.get(symbol)?.digits ?? 2 };
    this.emit('chosen');
    return true;
  }

  loadBars({ symbol, window, bars }) {
    if (symbol !== this.series.symbol || window !== this.series.window) return;
    // Events that came while the answer was on its way are at least as new as the answer.
    const newer = this.series.bars;
    this.series.bars = new Map();
    for (const bar of bars) this.put(bar);
    for (const bar of newer.values()) this.put(bar);
    this.sortBars();
    this.series.loaded = true;
    this.emit('bars');
  }

  metric(bar) {
    if (bar.symbol !== this.series.symbol || bar.window !== this.series.window) return;
    const before = this.lastBar();
    this.put(bar);
    const inOrder = !before || bar.start >= before.start;
    if (!inOrder) this.sortBars();
    if (this.series.bars.size > BARS) this.series.bars.delete(this.series.bars.keys().next().value);
    if (this.series.loaded) this.emit('bar', { bar, inOrder });
  }

  put(bar) {
    this.series.bars.set(bar.start, bar);
    for (const value of [bar.open, bar.high, bar.low, bar.close]) {
      this.series.digits = Math.min(8, Math.max(this.series.digits, decimals(value)));
    }
  }

  lastBar() {
    let last = null;
    for (last of this.series.bars.values());
    return last;
  }

  // Times of one form sort as text from year 0 to 9999; a Map keeps the order of insertion.
  sortBars() {
    this.series.bars = new Map([...this.series.bars].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  alert(alert) {
    this.alerts = [alert, ...this.alerts.filter((known) => known.alert_id !== alert.alert_id)].slice(0, ALERTS);
    this.emit('alerts', alert);
  }

  symbols() {
    return [...this.quotes.keys()].sort();
  }

  windows(symbol) {
    return [...(this.quotes.get(symbol)?.windows ?? [])].sort(compareWindows);
  }
}

const windowsKey = (quote) => (quote.windows ?? []).join();

function withDisplay(quote, old) {
  // A price ending in 0 is written without it; the most digits seen so far is what the symbol trades in.
  const digits = Math.min(8, Math.max(old?.digits ?? 2, decimals(quote.price)));
  const spark_shown = quote.spark_shown ?? quote.spark_at;
  return { ...quote, digits, spark_shown, spark: quote.spark ?? [], windows: quote.windows ?? [] };
}

/** `spark_at` numbers the points of the server's sparkline, so both sides agree where the next one starts. */
function extendSpark(quote, event) {
  if (event.spark_at === undefined) return;
  const points = quote.spark;
  const ahead = event.spark_at - quote.spark_shown;
  if (points.length && ahead <= 0) points[points.length - 1] = event.price;
  else points.push(event.price);
  quote.spark_shown = event.spark_at;
  if (points.length > SPARK_POINTS) points.splice(0, points.length - SPARK_POINTS);
}
