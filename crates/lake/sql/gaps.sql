-- What is known to be missing: gaps by symbol and cause.
-- from: 2024-08-08
-- to: 2024-08-09
SELECT symbol, cause, count(*) AS gaps, min("from") AS first_from, max("to") AS last_to
FROM gaps WHERE dt BETWEEN {from} AND {to} GROUP BY symbol, cause ORDER BY gaps DESC, symbol, cause
