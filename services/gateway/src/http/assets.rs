//! The page: files of `assets/`, inside the binary. They never change while the process runs, so each has one strong
//! tag, and a browser that has it is told so.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! asset {
    ($path:literal, $kind:expr) => {
        asset!($path, $kind, $path)
    };
    ($path:literal, $kind:expr, $file:literal) => {
        ($path, $kind, include_bytes!(concat!("../../assets/", $file)).as_slice())
    };
}

/// Path below `/assets/`, type, bytes.
const FILES: &[(&str, &str, &[u8])] = &[
    asset!("index.html", HTML),
    asset!("page.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("alerts.js", JS),
    asset!("bars.js", JS),
    asset!("chart.js", JS),
    asset!("dom.js", JS),
    asset!("format.js", JS),
    asset!("main.js", JS),
    asset!("store.js", JS),
    asset!("stream.js", JS),
    asset!("strip.js", JS),
    asset!("theme.js", JS),
    asset!("watchlist.js", JS),
    asset!("openapi.json", "application/json"),
    asset!("vendor/lightweight-charts.mjs", JS, "vendor/lightweight-charts/lightweight-charts.mjs"),
    asset!("vendor/lightweight-charts.LICENSE", TEXT, "vendor/lightweight-charts/LICENSE"),
    asset!("vendor/lightweight-charts.NOTICE", TEXT, "vendor/lightweight-charts/NOTICE"),
];

struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Smaller, for those who take it.
    packed: Bytes,
    tag: HeaderValue,
}

fn all() -> &'static [Asset] {
    static ALL: OnceLock<Vec<Asset>> = OnceLock::new();
    ALL.get_or_init(|| FILES.iter().map(|(path, kind, bytes)| Asset::new(path, kind, bytes)).collect())
}

impl Asset {
    fn new(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish())).expect("hex digits in quotes");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory takes everything");
        let packed = Bytes::from(encoder.finish().expect("memory takes everything"));
        Asset { path, kind, bytes, packed, tag }
    }

    fn response(&self, request: &HeaderMap) -> Response {
        let known = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let tag = self.tag.to_str().unwrap_or_default();
        let mut response = if known.is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag)) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if takes_gzip(request) {
            let mut response = self.packed.clone().into_response();
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            Bytes::from_static(self.bytes).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::ETAG, self.tag.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        // A new version may run behind the same address tomorrow: ask each time, which costs a 304.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && quality.trim() != "q=0"
    })
}

/// `None` if there is no such file.
pub(super) fn get(path: &str, request: &HeaderMap) -> Option<Response> {
    Some(all().iter().find(|asset| asset.path == path)?.response(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is imported and not listed here would be missing only in the browser.
    #[test]
    fn whatever_the_page_asks_for_is_there() {
        let listed = |path: &str| FILES.iter().any(|(known, ..)| *known == path);
        for (path, kind, bytes) in FILES {
            if !kind.starts_with("text/") || path.starts_with("vendor/") {
                continue;
            }
            let text = std::str::from_utf8(bytes).unwrap();
            for wanted in text.split(['\'', '"']).filter_map(|word| word.strip_prefix("./")) {
                assert!(listed(wanted), "{path} imports {wanted}");
            }
            for wanted in text.split(['\'', '"']).filter_map(|word| word.strip_prefix("/assets/")) {
                assert!(listed(wanted), "{path} asks for {wanted}");
            }
        }
    }

    #[test]
    fn a_known_tag_is_not_sent_again_and_gzip_only_to_those_who_take_it() {
        let plain = get("page.css", &HeaderMap::new()).unwrap();
        assert!(plain.headers().get(header::CONTENT_ENCODING).is_none());
        let mut request = HeaderMap::new();
        request.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br, gzip"));
        assert_eq!(get("page.css", &request).unwrap().headers()[header::CONTENT_ENCODING], "gzip");
        request.insert(header::IF_NONE_MATCH, plain.headers()[header::ETAG].clone());
        assert_eq!(get("page.css", &request).unwrap().status(), StatusCode::NOT_MODIFIED);
        request.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0"));
        request.remove(header::IF_NONE_MATCH);
        assert!(get("page.css", &request).unwrap().headers().get(header::CONTENT_ENCODING).is_none());
        assert!(get("../Cargo.toml", &request).is_none());
    }
}
