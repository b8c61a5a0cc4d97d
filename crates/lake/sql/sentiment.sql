-- What the news of each symbol and day came to: items, how many have a score, their mean by relevance, the lowest and the highest.
-- from: 2024-08-08
-- to: 2024-08-09
WITH items AS (
  SELECT dt, symbol, CAST(sentiment AS double) AS score, coalesce(CAST(relevance AS double), 1e0) AS weight
  FROM news WHERE dt BETWEEN {from} AND {to}
)
SELECT dt, symbol, count(*) AS items, count(score) AS scored,
  round(sum(score * weight) / nullif(sum(CASE WHEN score IS NOT NULL THEN weight END), 0e0), 6) AS sentiment,
  min(score) AS lowest, max(score) AS highest
FROM items GROUP BY dt, symbol ORDER BY dt, symbol
