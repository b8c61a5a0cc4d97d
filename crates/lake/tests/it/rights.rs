//! A right that is missing is named as IAM names it.

use bytes::Bytes;
use lake::bucket::{Bucket, Object};
use lake::expire::Delete;
use lake::{BucketError, S3, S3Config, Trouble};

use crate::fake::{Asked, reply, start};

/// Keys that may do everything but this.
async fn without(refused: fn(&Asked) -> bool, change: fn(&mut S3Config)) -> S3 {
    let endpoint = start(move |asked| {
        let body = if asked.method == "HEAD" { "" } else { "<Error><Code>AccessDenied</Code></Error>" };
        match asked {
            asked if refused(asked) => reply("403 Forbidden", "", body),
            asked if asked.is_list() => reply("200 OK", "", "<ListBucketResult></ListBucketResult>"),
            _ => reply("200 OK", "ETag: \"x\"\r\n", ""),
        }
    });
    let mut config = S3Config {
        endpoint: endpoint.await,
        prefix: "some/lake".to_owned(),
        access_key: "a".to_owned(),
        secret_key: harness::Secret::new("b"),
        ..S3Config::default()
    };
    change(&mut config);
    S3::connect(&config).await
}

fn object() -> Object {
    Object { body: Bytes::from_static(b"x"), content_type: "text/plain", ..Object::default() }
}

fn named<T: std::fmt::Debug>(result: Result<T, BucketError>, words: &[&str]) {
    let error = result.expect_err("refused");
    let message = error.to_string();
    assert_eq!(error.trouble, Trouble::Denied, "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{words:?} in {message}");
}

const OBJECTS: &str = "arn:aws:s3:::finflow/some/lake/*";
const KEY: &str = "some/lake/trades/x";
const URL: &str = "s3://finflow/some/lake/trades/x at http://127.0.0.1:";

#[tokio::test]
async fn each_right_that_is_missing_is_named_beside_the_key() {
    let s3 = without(|asked| asked.method == "PUT", |_| ()).await;
    named(s3.put_new(KEY, object()).await, &["put ", URL, &format!("s3:PutObject on {OBJECTS}")]);
    s3.list("some/", None, 1).await.expect("allowed");

    let s3 = without(|asked| asked.method == "GET" && !asked.is_list(), |_| ()).await;
    let get = format!("s3:GetObject on {OBJECTS} and s3:ListBucket on arn:aws:s3:::finflow; allow it in the policy");
    named(s3.get(KEY).await, &["get ", URL, &get]);
    named(s3.get_range(KEY, 0..1).await, &["get bytes 0-1 of ", URL, &get]);
    s3.put_new(KEY, object()).await.expect("allowed");

    let s3 = without(Asked::is_list, |_| ()).await;
    let list = "s3:ListBucket on arn:aws:s3:::finflow;";
    named(s3.list(KEY, None, 1).await, &["list ", URL, list]);
    named(s3.list_sized(KEY).await, &["list ", URL, list]);

    let s3 = without(|asked| asked.method == "HEAD", |_| ()).await;
    named(s3.head(KEY).await, &["head ", URL, "status 403", &get]);

    let s3 = without(|asked| asked.method == "DELETE", |_| ()).await;
    named(s3.delete(KEY).await, &["delete ", URL, &format!("s3:DeleteObject on {OBJECTS}")]);
}

#[tokio::test]
async fn a_lake_without_a_prefix_in_another_part_of_aws_has_other_names() {
    let elsewhere = |config: &mut S3Config| {
        config.prefix = String::new();
        config.region = "cn-north-1".to_owned();
    };
    let s3 = without(|asked| asked.method == "PUT", elsewhere).await;
    named(s3.put_new("trades/x", object()).await, &["s3:PutObject on arn:aws-cn:s3:::finflow/*;"]);
}
