// The page's pure parts, without a browser: `node --test`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as format from '../assets/format.js';
import { Store } from '../assets/store.js';

test('prices keep the digits of their symbol', () => {
  assert.equal(format.decimals(61837.63), 2);
  assert.equal(format.decimals(5), 0);
  assert.equal(format.decimals(1e-7), 7);
  assert.equal(format.decimals(1.5e-7), 8);
  assert.equal(format.decimals(null), 0);
  assert.equal(format.price(61837.6, 2), '61,837.60');
  assert.equal(format.price(-37.63, 2), '\u221237.63');
  assert.equal(format.price(null), '–');
  assert.equal(format.price(Number.NaN), '–');
});

test('quantities are short', () => {
  for (const [value, shown] of [[0, '0'], [0.02134567, '0.021346'], [812.44, '812.4'], [9999, '9,999'], [12500, '12.5k'],
    [3412345, '3.41M'], [140457056939342, '140.46T'], [-5, '\u22125'], [null, '–']]) {
    assert.equal(format.compact(value), shown);
  }
});

test('a change has its sign, an arrow and a direction; nothing is no change', () => {
  assert.deepEqual([1.234, -0.5, 0, 0.001, null].map((v) => format.percent(v)), ['+1.23%', '\u22120.50%', '0.00%', '0.00%', '–']);
  assert.deepEqual([1.2, -0.5, 0.001, null].map(format.arrow), ['▲', '▼', '', '']);
  assert.deepEqual([1.2, -0.5, 0, null].map((v) => format.direction(v)), ['up', 'down', 'flat', 'flat']);
  assert.deepEqual([0.004, -0.006].map(format.moveDirection), ['flat', 'down']);
});

test('spans and rates are in the unit one would say', () => {
  assert.deepEqual([0.04, 9.94, 59, 600, 7200, 400000, null].map(format.span), ['0.0 s', '9.9 s', '59 s', '10 min', '2 h', '5 d', '–']);
  assert.deepEqual([0, 0.4, 99.9, 1234.5, 23456].map(format.rate), ['0/s', '0.4/s', '99.9/s', '1,235/s', '23.5k/s']);
});

test('windows are read and ordered', () => {
  assert.deepEqual(format.windowParts('5m/1m'), { size: 300, slide: 60 });
  assert.deepEqual(format.windowParts('1d'), { size: 86400, slide: 86400 });
  assert.deepEqual(['1h', '5m/1m', '1s', '5m', '1m'].sort(format.compareWindows), ['1s', '1m', '5m', '5m/1m', '1h']);
});

test('times are shown as far as needed', () => {
  assert.equal(format.barTime('2024-08-08T23:54:15.342Z', 60), '23:54');
  assert.equal(format.barTime('2024-08-08T23:54:15Z', 1), '23:54:15');
  assert.equal(format.barTime('2024-08-08T23:54:00Z', 60, '2024-08-09T00:01:00Z'), '08-08 23:54');
  assert.equal(format.barTime('1986-12-31T00:00:00Z', 86400), '1986-12-31');
});

test('a sparkline fills its box and a flat one is a line in the middle', () => {
  assert.equal(format.sparkPath([1, 2, 3], 10, 10, 0), 'M0.0 10.0L5.0 5.0L10.0 0.0');
  assert.equal(format.sparkPath([4, 4], 10, 10, 0), 'M0.0 5.0L10.0 5.0');
  assert.equal(format.sparkPath([4], 10, 10), '');
});

const quote = (price, spark_at, more = {}) => ({ symbol: 'A', price, spark_at, ...more });
const snapshot = (quotes) => ({ quotes, alerts: [], pipeline: null });

test('a price event keeps what it leaves out and moves or extends the sparkline', () => {
  const store = new Store();
  store.snapshot(snapshot([quote(1, 2, { spark: [5, 1], windows: ['1m'], bid: 9 })]));
  store.price(quote(2.25, 2));
  assert.deepEqual(store.quotes.get('A').spark, [5, 2.25]);
  store.price(quote(3, 3));
  const { spark, windows, bid, digits, moved } = store.quotes.get('A');
  assert.deepEqual({ spark, windows, bid, digits, moved }, { spark: [5, 2.25, 3], windows: ['1m'], bid: 9, digits: 2, moved: 1 });
  for (let n = 4; n < 200; n += 1) store.price(quote(n, n));
  assert.equal(store.quotes.get('A').spark.length, 60);
});

test('bars that come while the history is on its way are not lost, and a revision replaces', () => {
  const store = new Store();
  store.snapshot(snapshot([quote(1, 1, { windows: ['1m'] })]));
  assert.equal(store.choose('A', '1m'), true);
  assert.equal(store.choose('A', '1m'), false);
  const bar = (minute, rev, more = {}) => ({ symbol: 'A', window: '1m', start: `2024-01-01T00:0${minute}:00Z`, open: 1, high: 1, low: 1, close: 1, rev, ...more });
  store.metric(bar(3, 7));
  store.metric({ ...bar(3, 9), symbol: 'B' });
  store.loadBars({ symbol: 'A', window: '1m', bars: [bar(1, 0), bar(2, 0), bar(3, 5)] });
  assert.deepEqual([...store.series.bars.values()].map((b) => b.rev), [0, 0, 7]);
  const seen = [];
  store.on('bar', ({ bar: { rev }, inOrder }) => seen.push([rev, inOrder]));
  store.metric(bar(4, 0));
  store.metric(bar(1, 2, { close: 1.125 }));
  assert.deepEqual(seen, [[0, true], [2, false]]);
  assert.deepEqual([...store.series.bars.keys()].map((k) => k.slice(15, 16)), ['1', '2', '3', '4']);
  assert.equal(store.series.digits, 3);
  store.loadBars({ symbol: 'A', window: '5m', bars: [bar(9, 0)] });
  assert.equal(store.series.bars.size, 4, 'the answer to an older question');
});

test('an alert told twice is one', () => {
  const store = new Store();
  store.alert({ alert_id: 'x', value: 1 });
  store.alert({ alert_id: 'y', value: 1 });
  store.alert({ alert_id: 'x', value: 2 });
  assert.deepEqual(store.alerts.map(({ alert_id: id, value }) => [id, value]), [['x', 2], ['y', 1]]);
});
