-- Correlation of the daily returns of two symbols' bars, on the days that both have.
-- first: HSI
-- second: NYA
-- from: 1965
-- to: 2100
-- interval: 1d
WITH returns AS (
  SELECT symbol, start, CAST(close AS double) / lag(CAST(close AS double)) OVER (PARTITION BY symbol ORDER BY start) - 1 AS daily_return
  FROM bars WHERE year BETWEEN {from} AND {to} AND symbol IN ({first}, {second}) AND "interval" = {interval}
)
SELECT count(*) AS days, round(corr(a.daily_return, b.daily_return), 6) AS correlation
FROM returns a JOIN returns b ON a.start = b.start
WHERE a.symbol = {first} AND b.symbol = {second} AND a.daily_return IS NOT NULL AND b.daily_return IS NOT NULL
