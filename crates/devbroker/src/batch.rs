//! Record batches of format 2: the 61 bytes of header that the broker reads and writes, never the records behind it.
//!
//! The check sum covers everything after itself, so the base offset and leader epoch can be written without
//! computing it again; only `LogAppendTime` needs a new one.

use crate::errors::Code;

/// Bytes before the first record.
pub const HEADER: usize = 61;
/// Bytes before the part that `length` counts.
const PREFIX: usize = 12;
const LEADER_EPOCH_AT: usize = 12;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

const CODEC: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// The leader epoch of the only leader there ever is.
pub const LEADER_EPOCH: i32 = 0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    pub base_offset: i64,
    /// The whole batch in bytes, header included.
    pub size: usize,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

impl Header {
    /// Reads a header from the start of `bytes`; `None` where they are too few or cannot be one.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < HEADER || bytes[16] != 2 {
            return None;
        }
        let i16_at = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let i64_at = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let length = usize::try_from(u32_at(8) as i32).ok()?;
        let header = Header {
            base_offset: i64_at(0),
            size: PREFIX + length,
            crc: u32_at(CRC_AT),
            attributes: i16_at(21),
            last_offset_delta: u32_at(23) as i32,
            base_timestamp: i64_at(27),
            max_timestamp: i64_at(MAX_TIMESTAMP_AT),
            producer_id: i64_at(43),
            producer_epoch: i16_at(51),
            base_sequence: u32_at(53) as i32,
            count: u32_at(57) as i32,
        };
        (header.size >= HEADER && header.last_offset_delta >= 0 && header.base_offset >= 0).then_some(header)
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    pub fn codec(&self) -> i16 {
        self.attributes & CODEC
    }

    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence numbers wrap to zero after the largest.
    pub fn last_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) % (1 << 31)) as i32
    }
}

/// Is the check sum of the whole batch right?
pub fn is_intact(batch: &[u8], header: &Header) -> bool {
    batch.len() == header.size && crc32c::crc32c(&batch[CRC_FROM..]) == header.crc
}

/// What a produce request sent for one partition: exactly one batch, of format 2, whole and by a client.
pub fn check_produced(batch: &[u8]) -> Result<Header, Code> {
    if batch.len() > 16 && batch[16] < 2 {
        return Err(Code::UnsupportedForMessageFormat);
    }
    let header = Header::parse(batch).ok_or(Code::CorruptMessage)?;
    if header.size < batch.len() {
        return Err(Code::InvalidRecord);
    }
    if !is_intact(batch, &header) {
        return Err(Code::CorruptMessage);
    }
    if header.codec() > 4 {
        return Err(Code::UnsupportedCompressionType);
    }
    let whole = header.count > 0 && header.last_offset_delta == header.count - 1;
    let sequenced = !header.is_idempotent() || (header.base_sequence >= 0 && header.producer_epoch >= 0);
    let unsequenced_transaction = header.is_transactional() && !header.is_idempotent();
    if !whole || !sequenced || unsequenced_transaction || header.is_control() {
        return Err(Code::InvalidRecord);
    }
    Ok(header)
}

/// Gives a batch its place in the log.
pub fn place(batch: &mut [u8], base_offset: i64) {
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
}

/// Replaces the producer's times by the broker's: readers take a batch's largest timestamp for every record in it.
pub fn stamp(batch: &mut [u8], now_ms: i64) {
    batch[CRC_FROM + 1] |= LOG_APPEND_TIME as u8;
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&now_ms.to_be_bytes());
    seal(batch);
}

/// Writes the check sum of what stands there now.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

/// Puts a header before `records`; its `size` and `crc` are computed.
pub fn build(header: &Header, records: &[u8]) -> Vec<u8> {
    let mut batch = Vec::with_capacity(HEADER + records.len());
    batch.extend_from_slice(&header.base_offset.to_be_bytes());
    batch.extend_from_slice(&((HEADER - PREFIX + records.len()) as i32).to_be_bytes());
    batch.extend_from_slice(&LEADER_EPOCH.to_be_bytes());
    batch.push(2);
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(&header.attributes.to_be_bytes());
    batch.extend_from_slice(&header.last_offset_delta.to_be_bytes());
    batch.extend_from_slice(&header.base_timestamp.to_be_bytes());
    batch.extend_from_slice(&header.max_timestamp.to_be_bytes());
    batch.extend_from_slice(&header.producer_id.to_be_bytes());
    batch.extend_from_slice(&header.producer_epoch.to_be_bytes());
    batch.extend_from_slice(&header.base_sequence.to_be_bytes());
    batch.extend_from_slice(&header.count.to_be_bytes());
    batch.extend_from_slice(records);
    seal(&mut batch);
    batch
}

/// The marker that ends a transaction in one partition. Its key says which way: version 0, then 1 for commit.
pub fn marker(producer_id: i64, producer_epoch: i16, commit: bool, now_ms: i64) -> Vec<u8> {
    let kind = u8::from(commit);
    // length 16, attributes, timestamp and offset deltas; a key of 4 bytes; a value of 6: version and coordinator epoch.
    let record = [32, 0, 0, 0, 8, 0, 0, 0, kind, 12, 0, 0, 0, 0, 0, 0, 0];
    let header = Header {
        base_offset: 0,
        size: 0,
        crc: 0,
        attributes: TRANSACTIONAL | CONTROL,
        last_offset_delta: 0,
        base_timestamp: now_ms,
        max_timestamp: now_ms,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        count: 1,
    };
    build(&header, &record)
}

/// Does this control batch commit? `None` where it is no transaction marker.
pub fn is_commit(batch: &[u8]) -> Option<bool> {
    match batch.get(HEADER + 5..HEADER + 9)? {
        [0, 0, 0, 0] => Some(false),
        [0, 0, 0, 1] => Some(true),
        _ => None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A batch as a producer without idempotence would send it, its records not meant to be read.
    pub fn plain(count: i32, timestamp: i64, records: &[u8]) -> Vec<u8> {
        sequenced(-1, -1, -1, count, timestamp, 0, records)
    }

    pub fn sequenced(
        pid: i64,
        epoch: i16,
        sequence: i32,
        count: i32,
        timestamp: i64,
        attributes: i16,
        records: &[u8],
    ) -> Vec<u8> {
        let header = Header {
            base_offset: 0,
            size: 0,
            crc: 0,
            attributes,
            last_offset_delta: count - 1,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id: pid,
            producer_epoch: epoch,
            base_sequence: sequence,
            count,
        };
        build(&header, records)
    }

    #[test]
    fn a_header_survives_building_placing_and_stamping() {
        let mut batch = sequenced(7, 1, 40, 3, 1000, 0, b"records");
        place(&mut batch, 99);
        let header = check_produced(&batch).unwrap();
        assert_eq!((header.base_offset, header.last_offset(), header.last_sequence()), (99, 101, 42));
        assert_eq!((header.producer_id, header.max_timestamp, header.is_log_append_time()), (7, 1000, false));
        stamp(&mut batch, 5000);
        let header = check_produced(&batch).unwrap();
        assert_eq!((header.max_timestamp, header.is_log_append_time()), (5000, true));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let batch = sequenced(7, 0, i32::MAX - 1, 4, 0, 0, b"");
        assert_eq!(Header::parse(&batch).unwrap().last_sequence(), 1);
    }

    #[test]
    fn what_is_not_one_whole_batch_of_a_client_is_refused() {
        let good = plain(1, 0, b"abc");
        assert!(check_produced(&good).is_ok());
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(check_produced(&flipped), Err(Code::CorruptMessage));
        assert_eq!(check_produced(&good[..good.len() - 1]), Err(Code::CorruptMessage));
        assert_eq!(check_produced(&[good.clone(), good.clone()].concat()), Err(Code::InvalidRecord));
        let mut old = good.clone();
        old[16] = 1;
        assert_eq!(check_produced(&old), Err(Code::UnsupportedForMessageFormat));
        assert_eq!(check_produced(&marker(1, 0, true, 0)), Err(Code::InvalidRecord));
        assert_eq!(check_produced(&plain(0, 0, b"")), Err(Code::CorruptMessage));
        assert_eq!(check_produced(&sequenced(-1, -1, -1, 1, 0, 5, b"")), Err(Code::UnsupportedCompressionType));
    }

    #[test]
    fn a_marker_says_which_way_it_ends() {
        assert_eq!(is_commit(&marker(1, 0, true, 0)), Some(true));
        assert_eq!(is_commit(&marker(1, 0, false, 0)), Some(false));
        assert_eq!(is_commit(&plain(1, 0, b"abc")), None);
    }
}
