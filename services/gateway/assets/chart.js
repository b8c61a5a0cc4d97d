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
      timeScale: { borderVisible: false, rightOffset: 4, barSpacing: 10, minBarSpacing: 2 },
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

  /** A few bars stay narrow and to the right, as more are coming; many fill the width. */
  fit() {
    const width = Math.max(200, this.node.clientWidth - 80);
    const shown = Math.min(this.bars.size, 180);
    const spacing = Math.max(3, Math.min(14, width / (shown + 6)));
    this.chart.timeScale().applyOptions({ barSpacing: spacing });
    this.chart.timeScale().scrollToPosition(4, false);
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
    this.bars.set(seconds(bar.start), bar);
    this.flaws.update(this.flaw(bar));
    this.volume.update(this.column(bar));
    this.candles.update(this.candle(bar));
    this.vwap.update(this.point(bar));
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
