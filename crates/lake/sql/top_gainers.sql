-- Symbols whose price rose most from the first to the last trade of the days.
-- from: 2024-08-08
-- to: 2024-08-09
-- limit: 10
WITH ranked AS (
  SELECT symbol, CAST(price AS double) AS price,
    row_number() OVER (PARTITION BY symbol ORDER BY event_time, _partition, _offset) AS nth,
    row_number() OVER (PARTITION BY symbol ORDER BY event_time DESC, _partition DESC, _offset DESC) AS nth_last
  FROM trades WHERE dt BETWEEN {from} AND {to}
), ends AS (
  SELECT symbol, max(CASE WHEN nth = 1 THEN price END) AS first_price, max(CASE WHEN nth_last = 1 THEN price END) AS last_price
  FROM ranked GROUP BY symbol
)
SELECT symbol, first_price, last_price, round((last_price - first_price) / first_price * 100, 4) AS change_pct
FROM ends WHERE first_price > 0 ORDER BY change_pct DESC, symbol LIMIT {limit:number}
