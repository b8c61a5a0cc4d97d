-- Symbols by what was traded of them: count, volume and turnover.
-- from: 2024-08-08
-- to: 2024-08-09
-- limit: 10
SELECT symbol, count(*) AS trades, sum(CAST(quantity AS double)) AS volume,
  round(sum(CAST(price AS double) * CAST(quantity AS double)), 2) AS turnover
FROM trades WHERE dt BETWEEN {from} AND {to} GROUP BY symbol ORDER BY turnover DESC, symbol LIMIT {limit:number}
