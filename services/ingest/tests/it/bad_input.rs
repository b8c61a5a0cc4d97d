//! What must be survived, each with a clear message.

use ingest::IngestError;

use crate::bed::{Bed, header, positions};

const HEADER: &str = "Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD\n";
const GOOD: &str = "HSI,1986-12-31,2568.3,2568.3,2568.3,2568.3,2568.3,0.0,333.87\n";

#[test]
fn bad_rows_are_dead_lettered_with_file_line_and_reason_and_the_rest_goes_on() {
    let bed = Bed::new();
    let rows: [(&[u8], &str); 7] = [
        (b",,,,,,,,", "missing_field"),
        (b"HSI,31/12/1986,1,1,1,1,1,1,1", "bad_time"),
        (b"HSI,1986-12-31,NaN,1,1,1,1,1,1", "not_finite"),
        (b"HSI,1986-12-31,1e400,1,1,1,1,1,1", "precision"),
        (b"HSI,1986-12-31,1,1,1,1,1,-1,1", "negative_size"),
        (b"H\xffI,1986-12-31,1,1,1,1,1,1,1", "not_utf8"),
        (b"HSI,1986-12", "field_count"),
    ];
    let mut bytes = HEADER.as_bytes().to_vec();
    for (row, _) in &rows {
        bytes.extend_from_slice(GOOD.as_bytes());
        bytes.extend_from_slice(row);
        bytes.push(b'\n');
    }
    bytes.pop();
    let path = bed.file("bad.csv", &bytes);
    let summary = bed.run(bed.config(&[&path])).unwrap();
    assert_eq!((summary.total(), summary.dead_lettered, summary.invalid.values().sum::<u64>()), (7, 7, 7));
    let sum =
        summary.skipped + summary.lines + summary.ignored.values().sum::<u64>() + summary.invalid.values().sum::<u64>();
    assert_eq!(summary.read, sum, "the ledger balances");
    let dead = bed.dead_letters();
    assert_eq!(positions(&dead).len(), 7);
    for (n, (record, (row, reason))) in dead.iter().zip(&rows).enumerate() {
        assert_eq!(record.value.as_deref(), Some(*row), "the bytes as they came");
        assert_eq!(header(record, "finflow-dlq-reason"), *reason);
        assert_eq!(header(record, "finflow-dlq-file"), path);
        assert_eq!(header(record, "finflow-dlq-line"), (2 * n + 3).to_string());
        assert_eq!(header(record, "finflow-dlq-stage"), "ingest");
        assert_eq!(summary.invalid[*reason], 1);
    }
    assert!(header(&dead[1], "finflow-dlq-detail").contains("DD/MM/YYYY"));
    assert!(header(&dead[6], "finflow-dlq-detail").contains("the file ends inside this line"));
}

#[test]
fn a_huge_line_is_dead_lettered_cut_and_says_so() {
    let bed = Bed::new();
    let mut bytes = HEADER.as_bytes().to_vec();
    bytes.resize(bytes.len() + 10 * 1024 * 1024, b'9');
    bytes.extend_from_slice(b"\n");
    bytes.extend_from_slice(GOOD.as_bytes());
    let summary = bed.run(bed.config(&[&bed.file("huge.csv", &bytes)])).unwrap();
    assert_eq!((summary.total(), summary.invalid["too_long"]), (1, 1));
    let dead = bed.dead_letters();
    assert!(dead[0].value.as_ref().unwrap().len() >= 900_000);
    let detail = header(&dead[0], "finflow-dlq-detail");
    assert!(detail.contains("10485760 bytes") && detail.contains("900000"), "{detail}");
}

#[test]
fn a_cut_archive_fails_at_its_end_with_its_rows_used_and_the_others_untouched() {
    let bed = Bed::new();
    let text = crate::bed::trades_csv(5000);
    let mut packed = Vec::new();
    let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let cut = bed.file("cut.csv.gz", &packed[..packed.len() / 2]);
    let whole = bed.file("whole.csv", format!("{HEADER}{GOOD}"));
    let error = bed.run(bed.config(&[&cut, &whole])).unwrap_err();
    assert!(format!("{error:#}").contains("`cut.csv.gz`") && format!("{error:#}").contains("end early"), "{error:#}");
    let summary = IngestError::summary(&error).unwrap();
    let of_cut = &summary.feeds[0];
    assert!(of_cut.events > 1000 && of_cut.events < 5000 && of_cut.error.is_some(), "{summary:?}");
    assert_eq!((summary.feeds[1].events, summary.feeds[1].error.as_ref()), (1, None));
    assert_eq!(bed.output().len() as u64, summary.total());
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_way_out() {
    let bed = Bed::new();
    let empty = bed.file("empty.csv", "");
    assert_eq!(bed.run(bed.config(&[&empty])).unwrap().total(), 0, "an empty file is no error");
    let columns = bed.file("columns.csv", "Index,Date\nHSI,1986-12-31\n");
    let error = format!("{:#}", bed.run(bed.config(&[&columns])).unwrap_err());
    assert!(error.contains("no column for the price") && error.contains("`price=NAME`"), "{error}");
    let good = bed.file("good.csv", format!("{HEADER}{GOOD}"));
    let error = bed.run(bed.config(&[&columns, &good])).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(IngestError::FeedsFailed { .. })), "{error:#}");
    assert_eq!(bed.output().len(), 1, "the good feed was replayed");
}

#[test]
fn dates_of_another_form_are_read_once_said() {
    let bed = Bed::new();
    let path = bed.file("days.csv", format!("{HEADER}{}", GOOD.replace("1986-12-31", "31/12/1986")));
    let summary = bed.run(bed.config(&[&format!("{path}?time_format=DD/MM/YYYY")])).unwrap();
    assert_eq!((summary.total(), summary.dead_lettered), (1, 0));
    assert_eq!(bed.events()[0].event_time(), Some(536_457_600_000_000_000));
}
