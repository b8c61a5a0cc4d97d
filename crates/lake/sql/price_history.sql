-- Windows of a symbol as they were last told: open, high, low, close, volume, VWAP.
-- symbol: BINANCE:BTCUSDT
-- window: 1m
-- from: 2024-08-08
-- to: 2024-08-09
WITH told AS (
  SELECT window_start, open, high, low, close, volume, vwap, trade_count, final,
    row_number() OVER (PARTITION BY window_start ORDER BY rev DESC) AS nth_last
  FROM metrics WHERE dt BETWEEN {from} AND {to} AND symbol = {symbol} AND "window" = {window}
)
SELECT window_start, open, high, low, close, volume, vwap, trade_count, final FROM told WHERE nth_last = 1 ORDER BY window_start
