-- Closing prices of a symbol's daily bars with their averages over 20 and 50 bars.
-- symbol: HSI
-- from: 1965
-- to: 2100
-- interval: 1d
SELECT start AS bar_start, CAST(close AS double) AS close,
  round(avg(CAST(close AS double)) OVER (ORDER BY start ROWS BETWEEN 19 PRECEDING AND CURRENT ROW), 4) AS average_20,
  round(avg(CAST(close AS double)) OVER (ORDER BY start ROWS BETWEEN 49 PRECEDING AND CURRENT ROW), 4) AS average_50
FROM bars WHERE year BETWEEN {from} AND {to} AND symbol = {symbol} AND "interval" = {interval} ORDER BY bar_start
