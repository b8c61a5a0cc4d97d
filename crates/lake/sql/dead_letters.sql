-- What could not be used, by day, stage and reason.
-- from: 2024-08-08
-- to: 2024-08-09
SELECT dt, stage, reason, count(*) AS letters FROM dead_letters WHERE dt BETWEEN {from} AND {to}
GROUP BY dt, stage, reason ORDER BY dt, letters DESC, stage, reason
