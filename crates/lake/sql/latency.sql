-- Milliseconds from the venue's clock to ours, by symbol and hour.
-- from: 2024-08-08
-- to: 2024-08-09
SELECT symbol, dt, hour, count(*) AS trades, min(date_diff('millisecond', event_time, receive_time)) AS shortest_ms,
  round(avg(CAST(date_diff('millisecond', event_time, receive_time) AS double)), 3) AS average_ms,
  max(date_diff('millisecond', event_time, receive_time)) AS longest_ms
FROM trades WHERE dt BETWEEN {from} AND {to} AND receive_time IS NOT NULL GROUP BY symbol, dt, hour ORDER BY symbol, dt, hour
