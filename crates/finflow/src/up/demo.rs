//! `--feed demo`: recorded real trades inside this program, so that the first run needs no file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Trades of 2024-08-08, 23:54 to midnight UTC; origin and licence in testdata/README.md.
const FILES: [(&str, &[u8]); 3] = [
    (
        "spot_btcusdt_20240808.trades.csv.gz",
        include_bytes!("../../../../testdata/binance/spot_btcusdt_20240808.trades.csv.gz"),
    ),
    (
        "spot_ethusdt_20240808.trades.csv.gz",
        include_bytes!("../../../../testdata/binance/spot_ethusdt_20240808.trades.csv.gz"),
    ),
    (
        "usdm_btcusdt_20240808.trades.csv.gz",
        include_bytes!("../../../../testdata/binance/usdm_btcusdt_20240808.trades.csv.gz"),
    ),
];

/// Writes the recordings below `state` and returns their paths: ingest reads files, these are not special to it.
pub fn unpack(state: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = state.join("demo");
    let hint = || format!("write the demo recordings to {}: choose another folder with --state", folder.display());
    fs::create_dir_all(&folder).with_context(hint)?;
    let mut paths = Vec::new();
    for (name, bytes) in FILES {
        let path = folder.join(name);
        if fs::read(&path).ok().as_deref() != Some(bytes) {
            fs::write(&path, bytes).with_context(hint)?;
        }
        paths.push(path);
    }
    Ok(paths)
}
