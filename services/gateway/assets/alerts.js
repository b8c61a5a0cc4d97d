// The feed of alerts and the reasons of dead letters.

import { byId, el, empty, eachFrame, text } from './dom.js';
import { clock, compact, count, day, percent, price, symbolParts } from './format.js';

const SHOWN = 100;

export class Alerts {
  constructor(store, onChoose) {
    this.store = store;
    this.list = byId('alerts');
    this.draw = eachFrame(() => this.drawNow());
    store.on('alerts', () => this.draw());
    store.on('pipeline', () => {
      this.drawLetters();
      if (!store.alerts.length) this.draw();
    });
    this.list.addEventListener('click', (event) => {
      const item = event.target.closest('[data-symbol]');
      if (item) onChoose(item.dataset.symbol);
    });
  }

  drawNow() {
    const { alerts } = this.store;
    this.list.replaceChildren(...alerts.slice(0, SHOWN).map((alert) => this.item(alert)));
    text(byId('alerts-count'), alerts.length ? count(alerts.length) : '');
    empty(byId('alerts-empty'), alerts.length ? '' : 'No alerts yet', quiet(this.store.pipeline));
  }

  item(alert) {
    const { name, venue } = symbolParts(alert.symbol);
    const digits = this.store.quotes.get(alert.symbol)?.digits ?? 2;
    return el('li', { data: { symbol: alert.symbol, state: alert.state } },
      el('button', { type: 'button', title: `${alert.rule}\n${alert.alert_id}` },
        el('span', { class: 'head' }, el('b', {}, name), venue ? el('small', {}, venue) : null, el('time', { datetime: alert.time, title: `${day(alert.time)} ${clock(alert.time)} UTC, by event time` }, clock(alert.time))),
        el('span', { class: 'what', data: { dir: { up: 'up', above: 'up', down: 'down', below: 'down' }[alert.direction] } }, ...sentence(alert, digits))));
  }

  drawLetters() {
    const letters = this.store.pipeline?.dead_letters;
    text(byId('letters-count'), letters?.count ? count(letters.count) : '');
    const rows = (letters?.reasons ?? []).map(({ stage, reason, count: n }) => el('tr', {}, el('th', { scope: 'row' }, reason), el('td', { class: 'left' }, stage), el('td', {}, count(n))));
    byId('letters').replaceChildren(...rows);
    empty(byId('letters-empty'), rows.length ? '' : 'None', letters ? 'Every record read so far could be used.' : '');
  }
}

/** What happened, as one would say it: `close 61,923.40 above 61,900.00`, `moved +0.52% in 1m`. */
function sentence({ rule_kind: kind, state, metric, window, direction, value, threshold, rule }, digits) {
  const resolved = state === 'resolved' ? el('span', { class: 'tag' }, 'resolved') : null;
  const percentage = metric.endsWith('_pct') || kind === 'move';
  const show = (number, signed) => (percentage ? percent(number).slice(signed || number < 0 ? 0 : 1) : /open|high|low|close|vwap|twap|average|min|max|price/.test(metric) ? price(number, digits) : compact(number));
  const rest = percentage ? ` in ${window}` : ` ${direction} ${show(threshold)}`;
  const said = el('span', { title: `limit ${show(threshold)}, window ${window}` }, `${metric === 'change_pct' ? 'moved' : metric} `, el('b', {}, show(value, true)), rest);
  return [resolved, said, el('small', {}, rule)].filter(Boolean);
}

function quiet(pipeline) {
  const stage = pipeline?.groups?.find((group) => group.stage === 'alert');
  if (!pipeline || pipeline.waiting_for) return pipeline?.waiting_for ?? '';
  if (stage?.behind) return `The alert stage is ${count(stage.lag)} records behind.`;
  return 'No rule has fired on the metrics that the gateway has read.';
}
