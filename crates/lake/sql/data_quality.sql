-- How far the final windows of each day can be trusted: their quality, and trades that came late or twice.
-- from: 2024-08-08
-- to: 2024-08-09
WITH told AS (
  SELECT dt, symbol, "window", quality, late, duplicate,
    row_number() OVER (PARTITION BY symbol, "window", window_start ORDER BY rev DESC) AS nth_last
  FROM metrics WHERE dt BETWEEN {from} AND {to} AND final
)
SELECT dt, quality, count(*) AS windows, sum(late) AS late, sum(duplicate) AS duplicate
FROM told WHERE nth_last = 1 GROUP BY dt, quality ORDER BY dt, quality
