-- Volatility of daily bars: standard deviation of the daily returns, per year of 252 days.
-- from: 1965
-- to: 2100
-- interval: 1d
WITH returns AS (
  SELECT symbol, CAST(close AS double) / lag(CAST(close AS double)) OVER (PARTITION BY symbol ORDER BY start) - 1 AS daily_return
  FROM bars WHERE year BETWEEN {from} AND {to} AND "interval" = {interval}
)
SELECT symbol, count(daily_return) AS days, round(stddev(daily_return) * sqrt(252), 6) AS yearly_volatility
FROM returns GROUP BY symbol ORDER BY yearly_volatility DESC, symbol
