// The pipeline in one line: what flows in, how far behind each stage is, how old the newest event is.

import { byId, el, text } from './dom.js';
import { count, rate, span } from './format.js';

export class Strip {
  constructor(store) {
    this.store = store;
    this.node = byId('strip');
    this.cells = new Map();
    store.on('pipeline', () => this.draw());
    this.draw();
  }

  draw() {
    const pipeline = this.store.pipeline;
    const feed = pipeline?.topics?.find((topic) => topic.role === 'events');
    this.cell('feed', 'Events', feed ? rate(feed.rate) : '–', feed ? `${count(feed.end)} written` : 'no topic yet', feed?.rate > 0 ? 'good' : 'idle');
    for (const group of pipeline?.groups ?? []) this.stage(group);
    const age = feed?.age_seconds;
    this.cell('age', 'Last event', typeof age === 'number' ? `${span(age)} ago` : '–', typeof age === 'number' ? 'since it reached Kafka' : 'none yet', age === undefined || age === null ? 'idle' : age < 5 ? 'good' : age < 60 ? 'idle' : 'warn');
    const letters = pipeline?.dead_letters;
    this.cell('letters', 'Dead letters', letters ? count(letters.count) : '–', letters?.rate > 0 ? `${rate(letters.rate)} now` : 'none now', letters?.rate > 0 ? 'bad' : 'good');
    const notice = byId('notice');
    const say = pipeline?.problem ?? '';
    notice.hidden = !say;
    text(notice, say);
  }

  stage({ stage, lag, lag_seconds: behind, lag_at_least: atLeast, behind: isBehind, problem }) {
    const known = typeof lag === 'number';
    const level = problem || !known ? 'idle' : isBehind ? 'bad' : 'good';
    const seconds = typeof behind !== 'number' ? '' : behind < 1 ? '< 1 s' : `${atLeast ? '≥ ' : ''}${span(behind)}`;
    const value = known ? (lag === 0 ? 'caught up' : `${seconds} behind`.trim()) : '–';
    const label = stage.charAt(0).toUpperCase() + stage.slice(1);
    this.cell(`stage-${stage}`, label, value, problem ?? (known ? (lag === 0 ? 'no lag' : `${count(lag)} records${behind >= 10 && !isBehind ? ', as usual' : ''}`) : 'no position yet'), level, 'stage');
  }

  cell(key, label, value, note, level, cls = '') {
    let cell = this.cells.get(key);
    if (!cell) {
      const parts = { value: el('b'), note: el('small') };
      cell = { ...parts, node: el('div', { class: `cell ${cls}`.trim() }, el('span', { class: 'label' }, el('i', { 'aria-hidden': 'true' }), label), parts.value, parts.note) };
      this.cells.set(key, cell);
      this.place(key, cell.node);
    }
    cell.node.dataset.level = level;
    text(cell.value, value);
    text(cell.note, note);
    cell.node.title = `${label}: ${value}, ${note}`;
  }

  // Stages stand between what goes in and what comes out, in the order the gateway names them.
  place(key, node) {
    const after = key.startsWith('stage-') ? this.cells.get('age')?.node : null;
    this.node.insertBefore(node, after ?? null);
  }
}

