-- The deepest fall of each symbol's daily closing prices below their highest before.
-- from: 1965
-- to: 2100
-- interval: 1d
WITH peaks AS (
  SELECT symbol, start, CAST(close AS double) AS close,
    max(CAST(close AS double)) OVER (PARTITION BY symbol ORDER BY start ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS peak
  FROM bars WHERE year BETWEEN {from} AND {to} AND "interval" = {interval}
)
SELECT symbol, round(min(close / peak - 1) * 100, 4) AS deepest_pct, count(*) AS bars
FROM peaks WHERE peak > 0 GROUP BY symbol ORDER BY deepest_pct, symbol
