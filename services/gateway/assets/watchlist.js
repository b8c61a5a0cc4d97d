// The list of symbols with their prices. Rows are made once and then only changed where they differ.

import { byId, el, empty, eachFrame, svg, text } from './dom.js';
import { arrow, clock, compact, day, moveDirection, percent, price, sparkPath, symbolParts } from './format.js';

const [WIDTH, HEIGHT] = [56, 24];

export class Watchlist {
  constructor(store, onChoose) {
    this.store = store;
    this.onChoose = onChoose;
    this.list = byId('watch');
    this.rows = new Map();
    this.dirty = new Set();
    this.filter = '';
    this.draw = eachFrame(() => this.drawDirty());
    store.on('quotes', () => this.layout());
    store.on('price', (symbol) => {
      this.dirty.add(symbol);
      this.draw();
    });
    store.on('chosen', () => this.mark());
    store.on('pipeline', () => this.rows.size || this.layout());
    this.list.addEventListener('click', (event) => {
      const row = event.target.closest('[data-symbol]');
      if (row) onChoose(row.dataset.symbol);
    });
    byId('filter').addEventListener('input', (event) => {
      this.filter = event.target.value.trim().toLowerCase();
      this.layout();
    });
  }

  /** The symbols on show, in order. */
  shown() {
    return this.store.symbols().filter((symbol) => symbol.toLowerCase().includes(this.filter));
  }

  layout() {
    const symbols = this.shown();
    for (const [symbol, row] of this.rows) {
      if (!this.store.quotes.has(symbol)) {
        row.node.remove();
        this.rows.delete(symbol);
      }
    }
    this.list.replaceChildren(...symbols.map((symbol) => this.row(symbol).node));
    symbols.forEach((symbol) => this.drawRow(symbol));
    this.mark();
    const all = this.store.quotes.size;
    text(byId('watch-count'), all ? (symbols.length === all ? `${all}` : `${symbols.length} of ${all}`) : '');
    if (!all) empty(byId('watch-empty'), 'No prices yet', waitingFor(this.store.pipeline));
    else if (!symbols.length) empty(byId('watch-empty'), 'No symbol matches', `None of ${all} contains “${this.filter}”.`);
    else empty(byId('watch-empty'));
  }

  row(symbol) {
    const known = this.rows.get(symbol);
    if (known) return known;
    const { venue, name } = symbolParts(symbol);
    const path = svg('path', { class: 'line' });
    const spark = svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, 'aria-hidden': 'true' });
    spark.append(path);
    const last = el('span', { class: 'price' });
    const move = el('span', { class: 'move' });
    const where = el('small');
    const node = el('li', { role: 'option', id: `row-${symbol}`, data: { symbol }, 'aria-selected': 'false' },
      el('span', { class: 'symbol' }, el('b', {}, name), where), spark,
      el('span', { class: 'numbers' }, last, move));
    text(where, venue || 'index or stock');
    const row = { node, path, spark, last, move };
    this.rows.set(symbol, row);
    return row;
  }

  drawDirty() {
    for (const symbol of this.dirty) this.drawRow(symbol);
    this.dirty.clear();
  }

  drawRow(symbol) {
    const row = this.rows.get(symbol);
    const quote = this.store.quotes.get(symbol);
    if (!row || !quote) return;
    text(row.last, price(quote.price, quote.digits));
    text(row.move, `${arrow(quote.change_pct)} ${percent(quote.change_pct)}`.trim());
    row.move.dataset.dir = row.spark.dataset.dir = moveDirection(quote.change_pct);
    row.path.setAttribute('d', sparkPath(quote.spark, WIDTH, HEIGHT));
    row.node.title = about(quote);
    if (quote.moved) flash(row.last, quote.moved);
  }

  mark() {
    const chosen = this.store.series.symbol;
    for (const [symbol, row] of this.rows) row.node.setAttribute('aria-selected', String(symbol === chosen));
    const row = this.rows.get(chosen);
    if (!row) return;
    this.list.setAttribute('aria-activedescendant', row.node.id);
    row.node.scrollIntoView({ block: 'nearest' });
  }

  /** Moves the choice by `step` rows. */
  step(step) {
    const symbols = this.shown();
    if (!symbols.length) return;
    const at = symbols.indexOf(this.store.series.symbol);
    this.onChoose(symbols[Math.max(0, Math.min(symbols.length - 1, at < 0 ? 0 : at + step))]);
  }
}

/** Two alternating classes restart the animation without asking the browser for a layout in between. */
function flash(node, moved) {
  const name = moved > 0 ? 'flash-up' : 'flash-down';
  node.classList.remove('flash-up', 'flash-down', 'flash-up-2', 'flash-down-2');
  node.flip = !node.flip;
  node.classList.add(node.flip ? name : `${name}-2`);
}

function about(quote) {
  const lines = [`${quote.symbol}: ${quote.price} at ${day(quote.time)} ${clock(quote.time)} UTC`];
  if (quote.size) lines.push(`last size ${compact(quote.size)}${quote.side ? `, ${quote.side}` : ''}`);
  if (quote.reference) lines.push(`change against ${quote.reference.price}, ${reference(quote.reference)}`);
  return lines.join('\n');
}

export function reference({ kind, time }) {
  const at = `${day(time)} ${clock(time)}`;
  return kind === 'previous_close' ? `the last price before this day (${at})` : `the first price seen this day (${at})`;
}

/** Why there is nothing to show, as far as the gateway knows. */
export function waitingFor(pipeline) {
  return pipeline?.waiting_for ?? 'Waiting for the gateway to answer.';
}
