//! Server-sent events as bytes (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

/// Said once at the head of a stream: how soon to come back after a break.
pub(crate) const RETRY: &[u8] = b"retry: 2000\n\n";
/// A comment: keeps proxies from closing a quiet connection, and finds out that the client is gone.
pub(crate) const BEAT: &[u8] = b": beat\n\n";
/// The server is stopping; come back later.
pub(crate) const BYE: &[u8] = b"event: bye\ndata: {}\n\n";

/// Appends an event. `data` is one JSON text, which has no line breaks outside its strings and none inside them.
pub(crate) fn event(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    debug_assert!(!data.contains(&b'\n'));
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

/// Appends an id of its own. It is no event, yet becomes the client's last event id: so a break in the middle of a
/// round is resumed from the end of the round before, and nothing is lost.
pub(crate) fn id(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// Names a round of one process: `<epoch>-<round>`. Another process, or the same after a restart, has another epoch, so
/// a client that moved is told everything anew.
pub(crate) fn round_id(epoch: &str, round: u64) -> String {
    format!("{epoch}-{round}")
}

/// The round that the id names, if it is of this epoch.
pub(crate) fn parse_id(epoch: &str, id: &str) -> Option<u64> {
    id.strip_prefix(epoch)?.strip_prefix('-')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_name_its_data_and_an_empty_line() {
        let mut out = Vec::new();
        event(&mut out, "price", br#"{"symbol":"A\nB"}"#);
        id(&mut out, &round_id("5f", 7));
        assert_eq!(out, b"event: price\ndata: {\"symbol\":\"A\\nB\"}\n\nid: 5f-7\n\n");
    }

    #[test]
    fn ids_are_of_one_epoch() {
        assert_eq!(parse_id("5f", "5f-7"), Some(7));
        for wrong in ["", "5f", "5f-", "5f7", "6a-7", "5f-x", "5f--1", "5f-18446744073709551616"] {
            assert_eq!(parse_id("5f", wrong), None, "{wrong}");
        }
    }
}
