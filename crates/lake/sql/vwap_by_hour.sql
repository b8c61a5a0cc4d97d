-- Volume-weighted average price of a symbol by hour, in doubles. The exact one of each window is in `metrics`.
-- symbol: BINANCE:BTCUSDT
-- from: 2024-08-08
-- to: 2024-08-09
SELECT dt, hour, round(sum(CAST(price AS double) * CAST(quantity AS double)) / sum(CAST(quantity AS double)), 6) AS vwap,
  sum(CAST(quantity AS double)) AS volume, count(*) AS trades
FROM trades WHERE dt BETWEEN {from} AND {to} AND symbol = {symbol} AND quantity > 0 GROUP BY dt, hour ORDER BY dt, hour
