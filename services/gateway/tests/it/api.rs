//! Questions and answers.

use crate::support::{config, start};

#[tokio::test]
async fn prices_come_with_all_their_digits_and_times_as_text() {
    let running = start(config()).await;
    running.price("BINANCE:BTCUSDT", "61837.630000000000000001");
    let answer = running.get("/v1/quotes").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#""price":61837.630000000000000001,"#), "{}", answer.body);
    let quote = &answer.json()["quotes"][0];
    assert_eq!(
        (quote["symbol"].as_str(), quote["time"].as_str()),
        (Some("BINANCE:BTCUSDT"), Some("2024-08-08T23:54:15Z"))
    );
    assert_eq!(running.get("/v1/symbols").await.json()["symbols"][0]["price_from"].as_str(), Some("trade"));
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_says_why_and_what_to_do() {
    let running = start(config()).await;
    running.price("A", "1");
    for (path, status, says) in [
        ("/v1/quotes?symbols=A,NOPE", 404, "NOPE"),
        ("/v1/bars?symbol=NOPE", 404, "NOPE"),
        ("/v1/bars?symbol=A&window=7m", 404, "7m"),
        ("/v1/bars", 400, "symbol"),
        ("/v1/bars?symbol=A&limit=0", 400, "limit"),
        ("/v1/bars?symbol=A&limit=100000", 400, "limit"),
        ("/v1/bars?symbol=A&limit=many", 400, "limit"),
        ("/v1/bars?symbl=A", 400, "symbl"),
        ("/v1/alerts?limit=1001", 400, "limit"),
        ("/v1/stream?bars=A", 400, "SYMBOL@WINDOW"),
        ("/v1/nothing", 404, "/v1/nothing"),
        ("/assets/../Cargo.toml", 404, "Cargo.toml"),
        ("/assets/none.js", 404, "none.js"),
    ] {
        let answer = running.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.error().contains(says), "{path}: {}", answer.body);
    }
    running.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_strict_headers() {
    let running = start(config()).await;
    for path in
        ["/", "/assets/main.js", "/v1/quotes", "/v1/nothing", "/v1/bars", "/v1/health/pipeline", "/v1/openapi.json"]
    {
        let answer = running.get(path).await;
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}: {}", answer.head));
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "deny"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}: nobody else's page may read it");
        let cache = if path.starts_with("/v1/") && path != "/v1/openapi.json" { "no-store" } else { "no-cache" };
        let cache = if answer.status == 404 { "no-store" } else { cache };
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
    }
    let stream = running.stream("").await;
    assert!(stream.head.contains("content-type: text/event-stream") && stream.head.contains("cache-control: no-store"));
    assert!(stream.head.contains("nosniff"), "{}", stream.head);
    running.stop().await;
}

#[tokio::test]
async fn the_description_names_every_route() {
    let running = start(config()).await;
    let description = running.get("/v1/openapi.json").await.json();
    let paths: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths.len(), 7);
    for path in paths {
        // A stream does not end; its head is enough.
        let status = if path == "/v1/stream" { 200 } else { running.get(path).await.status };
        assert!(status == 200 || (path == "/v1/bars" && status == 400), "{path}: {status}");
    }
    assert!(description["paths"].get("/v1/stream").is_some());
    running.stop().await;
}
