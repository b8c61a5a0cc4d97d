//! The catalog over the wire: against a server that fails as AWS does, and against the one that `FINFLOW_TEST_GLUE`
//! names (moto's, in `.ci/real`).

use harness::Secret;
use lake::bucket::Memory;
use lake::catalog::{self, Glue, GlueService, Options};
use lake::{Format, Paths, S3Config};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn config() -> S3Config {
    S3Config { access_key: "finflow".to_owned(), secret_key: Secret::new("finflow-secret"), ..S3Config::default() }
}

/// A server that gives these answers in turn, and the requests it got.
async fn server(answers: Vec<(&'static str, &'static str)>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let task = tokio::spawn(async move {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let read = stream.read(&mut buffer).await.expect("a request");
                assert!(read > 0, "the request ends early");
                request.extend_from_slice(&buffer[..read]);
            }
            requests.push(String::from_utf8(request).expect("text"));
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.expect("the answer is sent");
        }
        requests
    });
    (endpoint, task)
}

#[tokio::test]
async fn throttled_requests_are_sent_again_and_all_are_signed() {
    let (endpoint, requests) = server(vec![
        ("400 Bad Request", r#"{"__type":"ThrottlingException","Message":"Rate exceeded"}"#),
        ("503 Slow Down", "<html>"),
        ("200 OK", r#"{"Database":{"Name":"finflow"}}"#),
    ])
    .await;
    let glue = GlueService::connect(&config(), &endpoint).await;
    let answer = glue.call("GetDatabase", json!({"Name": "finflow"})).await.expect("the third answer");
    assert_eq!(answer["Database"]["Name"], "finflow");
    for request in requests.await.expect("no panic") {
        let head = request.to_lowercase();
        assert!(head.contains("x-amz-target: awsglue.getdatabase"), "{head}");
        assert!(head.contains("authorization: aws4-hmac-sha256 credential=finflow/"), "{head}");
        assert!(head.contains("/us-east-1/glue/aws4_request, signedheaders=content-type;host;"), "{head}");
    }
}

#[tokio::test]
async fn a_refusal_is_said_at_once_with_what_to_do() {
    let denied = r#"{"__type":"com.amazonaws.glue#AccessDeniedException","Message":"not authorized"}"#;
    let (endpoint, requests) = server(vec![("400 Bad Request", denied)]).await;
    let glue = GlueService::connect(&config(), &endpoint).await;
    let error = glue.call("CreateTable", json!({"x": 1})).await.expect_err("refused").to_string();
    assert!(
        error.contains("CreateTable") && error.contains("not authorized") && error.contains("the role needs"),
        "{error}"
    );
    assert_eq!(requests.await.expect("no panic").len(), 1);
}

#[tokio::test]
async fn a_catalog_over_the_wire_is_made_and_then_unchanged() {
    let Ok(endpoint) = std::env::var("FINFLOW_TEST_GLUE") else {
        println!("skipped: FINFLOW_TEST_GLUE names no Glue");
        return;
    };
    let glue = GlueService::connect(&config(), &endpoint).await;
    let options = Options {
        database: format!("finflow_{}", std::process::id()),
        format: Format::Parquet,
        place: "s3://finflow/lake".to_owned(),
        from: "2024-01-01".to_owned(),
        tomorrow: "2026-11-27".to_owned(),
        catalog: "awsdatacatalog".to_owned(),
        register: true,
        crawler: Some("arn:aws:iam::123456789012:role/crawler".to_owned()),
    };
    let bucket = Memory::default();
    let key = format!("lake/trades/dt=2024-08-08/hour=23/raw~id-0-{:020}-{:020}.parquet", 0, 9);
    lake::Bucket::put_new(&bucket, &key, lake::bucket::Object::default()).await.expect("memory");
    let paths = Paths::new("lake");
    let plan = catalog::plan(&bucket, &paths, &glue, &options).await.expect("a plan");
    assert_eq!(plan.steps.len(), 13, "{plan}");
    catalog::apply(&glue, &plan, |_| ()).await.expect("applied");
    let again = catalog::plan(&bucket, &paths, &glue, &options).await.expect("a plan");
    assert_eq!((again.steps.len(), again.conflicts.len()), (0, 0), "{again}");
}
