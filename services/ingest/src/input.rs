//! The bytes of a feed: a file, plain or gzip, read in bounded memory.
//!
//! Whether a file is compressed is seen from its first bytes, not from its name. A gzip file may have several members,
//! as `cat a.gz b.gz` and every log rotation make them. What can be read is read: an archive that ends early or is
//! followed by something else gives its good bytes first and then an error that says what is wrong.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

use crate::recording::parts::Parts;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const READ_SIZE: usize = 64 * 1024;
/// Larger than the longest ordinary line, so that nearly every line is seen in place, without a copy.
const BUFFER_SIZE: usize = 256 * 1024;

pub type Input = Box<dyn BufRead + Send>;

/// How many bytes of the file (compressed, if it is) have been read; shared with the progress display.
#[derive(Clone, Debug, Default)]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Opens a file, plain, gzip or zstd. The parts of a recording that follow it are read behind it.
pub fn open(path: &Path) -> io::Result<(Input, BytesRead)> {
    let read = BytesRead::default();
    let file = Counted { file: Parts::open(path)?, read: read.clone() };
    Ok((unpack(BufReader::with_capacity(READ_SIZE, file))?, read))
}

/// The plain bytes of what may be compressed.
pub fn unpack(mut packed: impl BufRead + Send + 'static) -> io::Result<Input> {
    let head = packed.fill_buf()?;
    let (gzip, zstd) = (head.starts_with(&GZIP_MAGIC), head.starts_with(&ZSTD_MAGIC));
    Ok(if zstd {
        let plain = Unzstd(zstd::Decoder::with_buffer(packed)?);
        Box::new(BufReader::with_capacity(BUFFER_SIZE, plain))
    } else if gzip {
        Box::new(BufReader::with_capacity(BUFFER_SIZE, Gunzip(State::Member(GzDecoder::new(packed)))))
    } else {
        Box::new(BufReader::with_capacity(BUFFER_SIZE, packed))
    })
}

struct Counted {
    file: Parts,
    read: BytesRead,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        self.read.0.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Like `flate2::bufread::MultiGzDecoder`, but it tells what follows the last member from a damaged member.
struct Gunzip<R>(State<R>);

enum State<R> {
    Member(GzDecoder<R>),
    Done,
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let State::Member(member) = &mut self.0 else { return Ok(0) };
            let n = match member.read(out) {
                Ok(n) => n,
                Err(error) => {
                    self.0 = State::Done;
                    return Err(damaged("gzip", error));
                }
            };
            if n > 0 || out.is_empty() {
                return Ok(n);
            }
            let State::Member(member) = std::mem::replace(&mut self.0, State::Done) else { return Ok(0) };
            let mut rest = member.into_inner();
            let next = rest.fill_buf()?;
            if next.is_empty() {
                return Ok(0);
            }
            if !next.starts_with(&GZIP_MAGIC[..next.len().min(2)]) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the gzip data are complete but are followed by bytes that are not gzip",
                ));
            }
            self.0 = State::Member(GzDecoder::new(rest));
        }
    }
}

/// Says of zstd data what [`Gunzip`] says of gzip.
struct Unzstd<R: BufRead>(zstd::Decoder<'static, R>);

impl<R: BufRead> Read for Unzstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| match error.kind() {
            // Whatever is wrong with the data the library calls `Other`.
            io::ErrorKind::Other => damaged("zstd", io::Error::new(io::ErrorKind::InvalidData, error)),
            _ => damaged("zstd", error),
        })
    }
}

fn damaged(form: &str, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(
            error.kind(),
            format!("the {form} data end early: the file was cut, only what came before was used"),
        ),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the {form} data are damaged ({error}), only what came before was used"),
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<String>) {
        let mut out = Vec::new();
        let error = unpack(Cursor::new(bytes)).unwrap().read_to_end(&mut out).err();
        (out, error.map(|error| error.to_string()))
    }

    #[test]
    fn plain_gzip_and_joined_gzip_read_alike() {
        assert_eq!(read(b"a,b\n".to_vec()), (b"a,b\n".to_vec(), None));
        assert_eq!(read(gzip(b"a,b\n")), (b"a,b\n".to_vec(), None));
        assert_eq!(read([gzip(b"a\n"), gzip(b"b\n")].concat()), (b"a\nb\n".to_vec(), None));
        assert_eq!(read(Vec::new()), (Vec::new(), None));
    }

    #[test]
    fn a_cut_archive_gives_its_good_bytes_then_says_so() {
        let text: Vec<u8> =
            (0..50_000u32).flat_map(|n| format!("{},{}\n", n, n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        let packed = gzip(&text);
        let (out, error) = read(packed[..packed.len() / 2].to_vec());
        assert!(out.len() > text.len() / 4 && text.starts_with(&out), "{} of {}", out.len(), text.len());
        assert!(error.unwrap().contains("end early"));
    }

    #[test]
    fn zstd_reads_like_gzip_and_says_what_is_wrong_with_it() {
        let zstd = |text: &[u8]| zstd::encode_all(text, 3).unwrap();
        assert_eq!(read([zstd(b"a\n"), zstd(b"b\n")].concat()), (b"a\nb\n".to_vec(), None));
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|n| format!("{}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        let packed = zstd(&text);
        let (out, error) = read(packed[..packed.len() / 2].to_vec());
        assert!(!out.is_empty() && text.starts_with(&out) && error.unwrap().contains("zstd data end early"));
        let mut packed = zstd(&text);
        let middle = packed.len() / 2;
        packed[middle..middle + 64].fill(0xff);
        let (_, error) = read(packed);
        assert!(error.as_ref().is_some_and(|text| text.contains("zstd data are damaged")), "{error:?}");
    }

    #[test]
    fn garbage_after_an_archive_loses_nothing_before_it() {
        let (out, error) = read([gzip(b"a\nb\n"), b"garbage".to_vec()].concat());
        assert_eq!(out, b"a\nb\n");
        assert!(error.unwrap().contains("not gzip"));
    }

    #[test]
    fn damage_inside_is_said() {
        let mut packed = gzip(&b"some text that is long enough to damage\n".repeat(50));
        // In the checksum, so that the text itself is whole.
        let middle = packed.len() - 6;
        packed[middle] ^= 0xff;
        assert!(read(packed).1.unwrap().contains("damaged"));
    }
}
