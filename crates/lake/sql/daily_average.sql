-- Average price of each symbol and day, over trades and bars. As in the tutorials that this project began with, word for
-- word. It reads the whole lake: the view has no partition to bound.
SELECT symbol, date(timestamp) AS trading_day, ROUND(AVG(price), 2) AS avg_daily_price FROM stock_data GROUP BY symbol, trading_day ORDER BY trading_day DESC;
