// Candles, volume and the VWAP line of one series. Colours come from the style sheet, so both themes have one home.

import {
  CandlestickSeries, HistogramSeries, LineSeries, createChart, CrosshairMode, LineStyle,
} from './vendor/lightweight-charts.mjs';
import { price, windowParts } from './format.js';

const seconds = (iso) => Math.floor(Date.parse(iso) / 1000);

export class Chart {
  constructor(node, onHover) {
    this.node = node;
    this.chart = createChart(node, {
      autoSize: true,
      layout: { attributionLogo: false, fontSize: 11 },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.06, bottom: 0.24 } },
      timeScale: { borderVisible: false, minBarSpacing: 2, shiftVisibleRangeOnNewBar: true },
    });
    // Drawn first, so that it lies behind: bars whose data had a hole.
    this.flaws = this.chart.addSeries(HistogramSeries, {
      priceScaleId: 'flaws', priceLineVisible: false, lastValueVisible: false, priceFormat: { type: 'volume' },
    });
    this.chart.priceScale('flaws').applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume', priceLineVisible: false, lastValueVisible: false, priceFormat: { type: 'volume' },
    });
    this.chart.priceScale('volume').applyOptions({ scaleMargins: { top: 0.82, bottom: 0 }, visible: false });
    this.candles = this.chart.addSeries(CandlestickSeries, { borderVisible: true, priceLineStyle: LineStyle.Dotted });
    this.vwap = this.chart.addSeries(LineSeries, {
      lineWidth: 2, priceLineVisible: false, lastValueVisible: false, crosshairMarkerRadius: 3,
    });
    this.bars = new Map();
    this.chart.subscribeCrosshairMove(({ time }) => onHover(time === undefined ? null : this.bars.get(time) ?? null));
    // Whoever moves the chart wants to keep what he sees; `f` and another series fit it again.
    for (const moved of ['wheel', 'pointerdown']) node.addEventListener(moved, () => { this.fitted = false; }, { passive: true });
    this.theme();
  }

  /** Takes the colours from the style sheet again. */
  theme() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = Object.fromEntries(
      ['up', 'up-open', 'up-volume', 'down', 'down-open', 'down-volume', 'vwap', 'flaw', 'text-2', 'line', 'grid', 'label']
        .map((name) => [name, colour(name)]),
    );
    const c = this.colours;
    this.chart.applyOptions({
      layout: { background: { color: 'transparent' }, textColor: c['text-2'], fontFamily: style.getPropertyValue('--font').trim() },
      grid: { vertLines: { color: c.grid }, horzLines: { color: c.grid } },
      crosshair: {
        vertLine: { color: c.line, labelBackgroundColor: c.label },
        horzLine: { color: c.line, labelBackgroundColor: c.label },
      },
    });
    this.candles.applyOptions({
      upColor: c.up, downColor: c.down, borderUpColor: c.up, borderDownColor: c.down, wickUpColor: c.up, wickDownColor: c.down,
    });
    this.vwap.applyOptions({ color: c.vwap });
    if (this.series) this.draw();
  }

  /** Shows another series, or the same one from the start. */
  show(series, fit) {
    this.series = series;
    const { slide } = windowParts(series.window);
    this.chart.applyOptions({
      timeScale: { timeVisible: slide < 86400, secondsVisible: slide < 60 },
      localization: { priceFormatter: (value) => price(value, series.digits) },
    });
    this.digits(series.digits);
    this.draw();
    if (fit) this.fit();
  }

  digits(digits) {
    this.shownDigits = digits;
    const priceFormat = { type: 'price', precision: digits, minMove: 1 / 10 ** digits };
    this.candles.applyOptions({ priceFormat });
    this.vwap.applyOptions({ priceFormat });
  }

  /** Few bars begin at the left, where the next ones will follow; of many the latest fill the width. */
  fit() {
    this.fitted = true;
    const most = Math.max(30, Math.min(180, Math.floor((this.node.clientWidth - 70) / 7)));
    // In steps, so that not every new bar changes the width of all.
    const room = Math.min(most, [30, 60, 120].find((step) => this.bars.size + 2 <= step) ?? most);
    const last = Math.max(this.bars.size + 2, room);
    this.chart.timeScale().setVisibleLogicalRange({ from: last - room - 1, to: last });
    this.chart.priceScale('right').applyOptions({ autoScale: true });
  }

  draw() {
    const bars = [...this.series.bars.values()];
    this.bars = new Map(bars.map((bar) => [seconds(bar.start), bar]));
    const unique = [...this.bars.values()];
    this.flaws.setData(unique.map((bar) => this.flaw(bar)));
    this.volume.setData(unique.map((bar) => this.column(bar)));
    this.candles.setData(unique.map((bar) => this.candle(bar)));
    this.vwap.setData(unique.map((bar) => this.point(bar)));
  }

  update(bar, inOrder) {
    if (this.series.digits !== this.shownDigits) this.digits(this.series.digits);
    if (!inOrder) return this.draw();
    const isNew = !this.bars.has(seconds(bar.start));
    this.bars.set(seconds(bar.start), bar);
    this.flaws.update(this.flaw(bar));
    this.volume.update(this.column(bar));
    this.candles.update(this.candle(bar));
    this.vwap.update(this.point(bar));
    if (isNew && this.fitted) this.fit();
  }

  candle(bar) {
    const time = seconds(bar.start);
    if (bar.open === null || bar.close === null) return { time };
    const item = { time, open: bar.open, high: bar.high, low: bar.low, close: bar.close };
    // An open bar is a lighter body in the full border: it may still change.
    if (!bar.final) item.color = this.colours[bar.close < bar.open ? 'down-open' : 'up-open'];
    return item;
  }

  column(bar) {
    return { time: seconds(bar.start), value: bar.volume ?? 0, color: this.colours[bar.close < bar.open ? 'down-volume' : 'up-volume'] };
  }

  point(bar) {
    const time = seconds(bar.start);
    return typeof bar.vwap === 'number' ? { time, value: bar.vwap } : { time };
  }

  flaw(bar) {
    const time = seconds(bar.start);
    return bar.quality && bar.quality !== 'complete' ? { time, value: 1, color: this.colours.flaw } : { time };
  }
}
