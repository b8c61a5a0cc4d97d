//! Flushing sealed segments to the disk, on a thread of its own: an fsync may take long and nobody waits for it.

use std::{
    fs::File,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
};

/// Hands files to the thread. Cheap to clone; the thread ends when the last one is dropped.
#[derive(Clone)]
pub struct Syncer(Sender<Arc<File>>);

impl Syncer {
    pub fn start() -> std::io::Result<(Syncer, JoinHandle<()>)> {
        let (sender, files) = channel::<Arc<File>>();
        let thread = std::thread::Builder::new().name("devbroker-sync".into()).spawn(move || {
            for file in files {
                if let Err(error) = file.sync_data() {
                    tracing::error!(%error, "cannot flush a segment to the disk: a power cut may lose records");
                }
            }
        })?;
        Ok((Syncer(sender), thread))
    }

    pub fn sync(&self, file: Arc<File>) {
        // The thread only ends when every sender is gone, so this cannot fail while it matters.
        let _ = self.0.send(file);
    }
}
