// The latest bars as a table, with the evidence each carries: revision, quality, the offsets it was folded from.

import { byId, el, eachFrame } from './dom.js';
import { arrow, barTime, compact, count, day, direction, moveDirection, percent, price, windowParts } from './format.js';

const ROWS = 60;
const COLUMNS = ['Start', 'Open', 'High', 'Low', 'Close', 'Change', 'Volume', 'VWAP', 'Trades', 'State', 'From offsets'];

export class Bars {
  constructor(store) {
    this.store = store;
    this.body = el('tbody');
    const head = el('tr', {}, ...COLUMNS.map((name, i) => el('th', { scope: 'col', class: i === 0 || i > 8 ? 'left' : undefined }, name)));
    byId('bars').append(el('table', {}, el('thead', {}, head), this.body));
    this.draw = eachFrame(() => this.drawNow());
    for (const name of ['chosen', 'bars', 'bar']) store.on(name, () => this.draw());
    this.drawNow();
  }

  drawNow() {
    const { series } = this.store;
    const latest = [...series.bars.values()].slice(-ROWS).reverse();
    this.body.replaceChildren(...latest.map((bar) => this.row(bar, series, latest[0].start)));
    byId('bars').hidden = latest.length === 0;
  }

  row(bar, { digits, window }, latest) {
    const { size } = windowParts(window);
    const number = (value, cls) => el('td', { class: cls }, value);
    const change = bar.change_pct;
    const [name, title] = state(bar);
    return el('tr', { data: { state: name } },
      el('th', { scope: 'row', title: `${bar.start} to ${bar.end}` }, barTime(bar.start, size, latest)),
      number(price(bar.open, digits)), number(price(bar.high, digits)), number(price(bar.low, digits)), number(price(bar.close, digits), 'close'),
      el('td', { class: 'move', data: { dir: moveDirection(change) } }, `${arrow(change)} ${percent(change)}`.trim()),
      number(compact(bar.volume)), number(price(bar.vwap, digits)), number(count(bar.trade_count)),
      el('td', { class: 'left', title }, el('span', { class: `tag ${name}` }, name), bar.rev ? el('small', {}, `rev ${bar.rev}`) : null, flaw(bar)),
      el('td', { class: 'left evidence', title: evidenceTitle(bar) }, evidence(bar)));
  }
}

/** What may still happen to a bar: its short name and the reason. */
export function state(bar) {
  if (bar.final) return ['final', bar.closed_by ? `closed by ${bar.closed_by === 'clock' ? 'the clock, as its symbol was idle' : 'event time'}` : 'closed'];
  return ['open', 'trades may still change it'];
}

const FLAWS = {
  partial: 'its first trades were never seen',
  gap: 'a gap in the data overlaps it',
  backfilled: 'a gap overlapped it and was filled later',
};

function flaw({ quality }) {
  return FLAWS[quality] ? el('span', { class: 'tag flaw', title: FLAWS[quality] }, quality) : null;
}

function evidence({ input }) {
  return input ? `${input.partition}: ${input.first_offset}–${input.last_offset}` : '';
}

function evidenceTitle({ input, late, duplicate, backfilled }) {
  if (!input) return 'no offsets: this bar came as a bar';
  const also = [[late, 'late'], [duplicate, 'duplicate'], [backfilled, 'back-filled']].filter(([n]) => n).map(([n, what]) => `${count(n)} ${what}`);
  return [`partition ${input.partition}, offsets ${count(input.first_offset)} to ${count(input.last_offset)}`, ...also].join(', ');
}

/** The line above the chart: one bar in full. */
export function legend(bar, { digits, window }, latest) {
  if (!bar) return [];
  const { size } = windowParts(window);
  const pair = (label, value, dir) => el('span', { class: 'pair', data: dir ? { dir } : {} }, el('i', {}, label), el('b', {}, value));
  const dir = direction(bar.close - bar.open);
  const [name, title] = state(bar);
  const when = size >= 86400 ? day(bar.start) : `${barTime(bar.start, size, latest)}–${barTime(bar.end, size, bar.start)}`;
  return [
    el('span', { class: 'when' }, when),
    pair('O', price(bar.open, digits), dir), pair('H', price(bar.high, digits), dir), pair('L', price(bar.low, digits), dir), pair('C', price(bar.close, digits), dir),
    pair('Vol', compact(bar.volume)),
    typeof bar.vwap === 'number' ? pair('VWAP', price(bar.vwap, digits), 'vwap') : null,
    bar.trade_count ? pair('Trades', count(bar.trade_count)) : null,
    el('span', { class: `tag ${name}`, title }, bar.rev ? `${name}, rev ${bar.rev}` : name),
    flaw(bar),
  ].filter(Boolean);
}
