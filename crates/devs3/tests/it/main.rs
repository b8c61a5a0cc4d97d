//! The server seen by the AWS SDK, as the lake sees it.

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use devs3::{BUCKET, Server};

fn client(server: &Server, secret: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(devs3::ACCESS_KEY, secret, None, None, "test"))
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

async fn start(dir: &tempfile::TempDir) -> Server {
    Server::start(dir.path(), "127.0.0.1:0".parse().expect("an address")).await.expect("the server starts")
}

async fn put_new(client: &Client, key: &str, body: String) -> Result<(), SdkError<PutObjectError>> {
    let body = ByteStream::from(body.into_bytes());
    client.put_object().bucket(BUCKET).key(key).if_none_match("*").body(body).send().await.map(drop)
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let object = client.get_object().bucket(BUCKET).key(key).send().await.expect("the object is there");
    object.body.collect().await.expect("the body arrives").to_vec()
}

fn status<E>(result: &Result<(), SdkError<E>>) -> u16 {
    match result {
        Ok(()) => 200,
        Err(error) => error.raw_response().expect("the server answered").status().as_u16(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_conditional_puts_at_once_exactly_one_wins() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir).await;
    let client = client(&server, devs3::SECRET_KEY);
    // Several rounds with bodies of some size: an unguarded server loses this race only now and then.
    for round in 0..10 {
        let key = format!("_claims/T/{round}");
        let puts = (0..32).map(|i| {
            let (client, key, body) = (client.clone(), key.clone(), format!("{i:02}").repeat(20_000));
            tokio::spawn(async move { (i, put_new(&client, &key, body).await) })
        });
        let mut won = Vec::new();
        for put in puts.collect::<Vec<_>>() {
            let (i, result) = put.await.expect("the task ends");
            match status(&result) {
                200 => won.push(i),
                other => assert_eq!(other, 412, "round {round}: {result:?}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}: winners {won:?}");
        assert_eq!(get(&client, &key).await, format!("{:02}", won[0]).repeat(20_000).into_bytes());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_8_conditional_completions_at_once_exactly_one_wins() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir).await;
    let client = client(&server, devs3::SECRET_KEY);
    let mut uploads = Vec::new();
    for i in 0..8 {
        let upload = client.create_multipart_upload().bucket(BUCKET).key("big").send().await.expect("an upload");
        let id = upload.upload_id().expect("an id").to_owned();
        let body = ByteStream::from(vec![i; 1000]);
        let part = client.upload_part().bucket(BUCKET).key("big").upload_id(&id).part_number(1).body(body).send().await;
        uploads.push((id, part.expect("a part").e_tag));
    }
    let completions = uploads.into_iter().map(|(id, tag)| {
        let part = CompletedPart::builder().part_number(1).set_e_tag(tag).build();
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let request = client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(id);
        tokio::spawn(request.multipart_upload(parts).if_none_match("*").send())
    });
    let mut codes = Vec::new();
    for completion in completions.collect::<Vec<_>>() {
        codes.push(status(&completion.await.expect("the task ends").map(drop)));
    }
    codes.sort_unstable();
    assert_eq!(codes, [200, 412, 412, 412, 412, 412, 412, 412]);
    assert_eq!(get(&client, "big").await.len(), 1000);
}

#[tokio::test]
async fn objects_and_their_metadata_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir).await;
    let first = client(&server, devs3::SECRET_KEY);
    let put = first.put_object().bucket(BUCKET).key("trades/dt=2024-08-08/a~b-0.gz").metadata("rows", "3");
    put.body(ByteStream::from_static(b"x")).send().await.expect("the object is stored");
    server.stop().await;

    let server = start(&dir).await;
    let second = client(&server, devs3::SECRET_KEY);
    let head = second.head_object().bucket(BUCKET).key("trades/dt=2024-08-08/a~b-0.gz").send().await.expect("a head");
    assert_eq!(head.metadata().and_then(|m| m.get("rows")).map(String::as_str), Some("3"));
    assert_eq!(status(&put_new(&second, "trades/dt=2024-08-08/a~b-0.gz", "y".into()).await), 412);
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir).await;
    let refused = put_new(&client(&server, "wrong"), "a", "x".into()).await;
    assert_eq!(status(&refused), 403);
    assert_eq!(refused.expect_err("refused").code(), Some("SignatureDoesNotMatch"));
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir).await;
    let second = Server::start(dir.path(), "127.0.0.1:0".parse().expect("an address")).await;
    let message = format!("{:#}", second.err().expect("refused"));
    assert!(message.contains("another process serves"), "{message}");
    server.stop().await;
    start(&dir).await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address");
    let message = format!("{:#}", Server::start(dir.path(), addr).await.err().expect("refused"));
    assert!(message.contains(&addr.to_string()) && message.contains("taken"), "{message}");
}
