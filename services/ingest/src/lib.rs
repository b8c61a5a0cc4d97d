//! Reads market data from feeds and files into raw-market-data.
