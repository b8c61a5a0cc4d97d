//! Small files that are either the old or the new one, never half of each.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = path.to_owned().into_os_string();
    part.push(".part");
    let part = std::path::PathBuf::from(part);
    let mut file = File::create(&part)?;
    file.write_all(bytes).and_then(|()| file.sync_data()).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })?;
    fs::rename(&part, path)
}
