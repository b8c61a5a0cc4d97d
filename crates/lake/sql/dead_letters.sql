-- What could not be used, by day, stage and reason.
-- from: 1970-01-01
-- to: 2100-01-01
SELECT dt, stage, reason, count(*) AS letters FROM dead_letters WHERE dt BETWEEN {from} AND {to}
GROUP BY dt, stage, reason ORDER BY dt, letters DESC, stage, reason
