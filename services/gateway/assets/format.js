// Numbers, times and names as the page shows them. Pure: tests/page.test.mjs runs it without a browser.

const NONE = '–';
const MINUS = '\u2212';

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

/** Digits after the point that `value` has when written out, at most 10. */
export function decimals(value) {
  if (!isNumber(value)) return 0;
  const text = value.toString();
  const [mantissa, exponent] = text.split('e');
  const point = mantissa.indexOf('.');
  const written = point < 0 ? 0 : mantissa.length - point - 1;
  return Math.min(10, Math.max(0, written - Number(exponent ?? 0)));
}

/** A price with the given digits after the point, thousands separated. */
export function price(value, digits = 2) {
  if (!isNumber(value)) return NONE;
  const text = Math.abs(value).toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return value < 0 ? MINUS + text : text;
}

/** A quantity in few characters: 0.0213, 812.4, 12.5k, 3.41M, 140.46T. */
export function compact(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  const sign = value < 0 ? MINUS : '';
  for (const [unit, factor] of [['T', 1e12], ['B', 1e9], ['M', 1e6], ['k', 1e4]]) {
    if (size >= factor) return `${sign}${trim(size / (unit === 'k' ? 1e3 : factor), 2)}${unit}`;
  }
  if (size === 0 || size >= 100) return sign + trim(size, 1);
  return sign + trim(size, size >= 1 ? 3 : 6);
}

function trim(value, digits) {
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** A whole count: 1,204. */
export function count(value) {
  return isNumber(value) ? Math.round(value).toLocaleString('en-US') : NONE;
}

/** A change in per cent, always with its sign. */
export function percent(value, digits = 2) {
  if (!isNumber(value)) return NONE;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return `${text}%`;
  return `${value < 0 ? MINUS : '+'}${text}%`;
}

/** Direction of a change, for those who do not see its colour. */
export function arrow(value) {
  return { up: '▲', down: '▼', flat: '' }[moveDirection(value)];
}

/** `up`, `down` or `flat`; what is smaller than `least` either way is flat. */
export function direction(value, least = Number.MIN_VALUE) {
  if (!isNumber(value) || Math.abs(value) < least) return 'flat';
  return value < 0 ? 'down' : 'up';
}

/** As `direction`, of a change in per cent: one that is shown as 0.00% is flat. */
export const moveDirection = (value) => direction(value, 0.005);

/** Events per second. */
export function rate(value) {
  if (!isNumber(value)) return NONE;
  if (value >= 10000) return `${trim(value / 1000, 1)}k/s`;
  return `${value >= 100 || value === 0 ? Math.round(value).toLocaleString('en-US') : value.toFixed(1)}/s`;
}

/** How long something takes or took, in the unit one would say it in. */
export function span(seconds) {
  if (!isNumber(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400).toLocaleString('en-US')} d`;
}

/** `23:54:21` of an RFC 3339 time. */
export function clock(iso) {
  return typeof iso === 'string' && iso.length >= 19 ? iso.slice(11, 19) : NONE;
}

/** The day of an RFC 3339 time. */
export function day(iso) {
  return typeof iso === 'string' && iso.length >= 10 ? iso.slice(0, 10) : NONE;
}

/** When a bar began, as far as needed beside `latest`: the day for bars of a day or more, else the time of day, with the
    day only where it is another one. */
export function barTime(iso, seconds, latest = iso) {
  if (seconds >= 86400) return day(iso);
  const time = clock(iso).slice(0, seconds < 60 ? 8 : 5);
  return day(iso) === day(latest) ? time : `${day(iso).slice(5)} ${time}`;
}

/** `BINANCE:BTCUSDT` as { venue: 'BINANCE', name: 'BTCUSDT' }. */
export function symbolParts(symbol) {
  const colon = symbol.indexOf(':');
  return colon < 0 ? { venue: '', name: symbol } : { venue: symbol.slice(0, colon), name: symbol.slice(colon + 1) };
}

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800, mo: 2678400 };

function seconds(text) {
  const match = /^(\d+)(mo|[smhdw])(@.*)?$/.exec(text);
  return match ? Number(match[1]) * UNIT_SECONDS[match[2]] : 0;
}

/** `5m/1m` as { size: 300, slide: 60 }, `1m` as { size: 60, slide: 60 }. */
export function windowParts(window) {
  const [size, slide] = window.split('/');
  return { size: seconds(size), slide: seconds(slide ?? size) };
}

/** Shortest first; of two with the same size the tumbling one first. */
export function compareWindows(a, b) {
  const x = windowParts(a);
  const y = windowParts(b);
  return x.size - y.size || y.slide - x.slide || a.localeCompare(b);
}

/** What the window is called on its button. */
export function windowLabel(window) {
  const [size, slide] = window.split('/');
  return slide ? `${size}/${slide}` : size;
}

/** The points of a sparkline as an SVG path inside width × height, or '' where there is no line to draw. */
export function sparkPath(values, width, height, pad = 1.5) {
  const points = values.filter(isNumber);
  if (points.length < 2) return '';
  const low = Math.min(...points);
  const high = Math.max(...points);
  const x = (i) => pad + (i * (width - 2 * pad)) / (points.length - 1);
  const y = (v) => (high === low ? height / 2 : pad + ((high - v) * (height - 2 * pad)) / (high - low));
  return points.map((v, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join('');
}
