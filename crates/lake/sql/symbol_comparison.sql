-- Two symbols by hour: their average prices, and the ratio of those.
-- first: BINANCE:BTCUSDT
-- second: BINANCE:ETHUSDT
-- from: 2024-08-08
-- to: 2024-08-09
WITH hours AS (
  SELECT dt, hour, avg(CASE WHEN symbol = {first} THEN CAST(price AS double) END) AS first_price,
    avg(CASE WHEN symbol = {second} THEN CAST(price AS double) END) AS second_price
  FROM trades WHERE dt BETWEEN {from} AND {to} AND symbol IN ({first}, {second}) GROUP BY dt, hour
)
SELECT dt, hour, round(first_price, 6) AS first_price, round(second_price, 6) AS second_price,
  round(first_price / second_price, 6) AS ratio
FROM hours ORDER BY dt, hour
