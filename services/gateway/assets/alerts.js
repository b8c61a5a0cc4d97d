// The feed of alerts and the reasons of dead letters.

import { byId, el, empty, eachFrame, text } from './dom.js';
import { clock, count, day, price, symbolParts } from './format.js';

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
    const when = alert.time ?? alert.window_end;
    return el('li', { data: { symbol: alert.symbol, severity: alert.severity ?? 'warning', state: alert.state ?? 'firing' } },
      el('button', { type: 'button', title: alert.alert_id },
        el('span', { class: 'head' }, el('b', {}, name), venue ? el('small', {}, venue) : null, el('time', { datetime: when, title: when }, `${day(when).slice(5)} ${clock(when)}`)),
        el('span', { class: 'what' }, alert.message ?? alert.rule),
        el('span', { class: 'why' }, [alert.rule, alert.window, alert.price === undefined ? null : price(alert.price, digits)].filter(Boolean).join(' · '))));
  }

  drawLetters() {
    const letters = this.store.pipeline?.dead_letters;
    text(byId('letters-count'), letters?.count ? count(letters.count) : '');
    const rows = (letters?.reasons ?? []).map(({ stage, reason, count: n }) => el('tr', {}, el('th', { scope: 'row' }, reason), el('td', { class: 'left' }, stage), el('td', {}, count(n))));
    byId('letters').replaceChildren(...rows);
    empty(byId('letters-empty'), rows.length ? '' : 'None', letters ? 'Every record read so far could be used.' : '');
  }
}

function quiet(pipeline) {
  const stage = pipeline?.groups?.find((group) => group.stage === 'alert');
  if (!pipeline || pipeline.waiting_for) return pipeline?.waiting_for ?? '';
  if (stage?.lag > 0) return `The alert stage is ${count(stage.lag)} records behind.`;
  return 'No rule has fired on the metrics that the gateway has read.';
}
