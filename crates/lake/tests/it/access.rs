//! Encryption, who pays, and roles: what is asked of the store and of STS.

use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use harness::Secret;
use lake::bucket::{Bucket, Object, Put};
use lake::expire::Delete;
use lake::{Encryption, S3, S3Config};

use crate::fake;

type Log = Arc<Mutex<Vec<fake::Asked>>>;

/// An S3 that takes everything, and what it was asked.
async fn store() -> (String, Log) {
    let log = Log::default();
    let kept = log.clone();
    let upload = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let endpoint = fake::start(move |asked| {
        let kind = (asked.method.as_str(), asked.target.contains("uploads"), asked.target.contains("uploadId="));
        let body = match kind {
            ("POST", true, _) => upload,
            ("POST", _, true) => "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>",
            ("GET", ..) if asked.is_list() => "<ListBucketResult></ListBucketResult>",
            _ => "",
        };
        let copy =
            fake::Asked { method: asked.method.clone(), target: asked.target.clone(), bytes: asked.bytes.clone() };
        kept.lock().expect("no panic").push(copy);
        fake::reply("200 OK", "ETag: \"x\"\r\n", body)
    });
    (endpoint.await, log)
}

fn config(endpoint: String) -> S3Config {
    S3Config { endpoint, access_key: "a".to_owned(), secret_key: Secret::new("b"), ..S3Config::default() }
}

fn object(bytes: usize) -> Object {
    Object { body: Bytes::from(vec![7; bytes]), content_type: "text/plain", ..Object::default() }
}

/// One small and one large object. What the requests that make them say of encryption.
async fn encryption(change: impl FnOnce(&mut S3Config)) -> Vec<(Option<String>, Option<String>)> {
    let (endpoint, log) = store().await;
    let mut config = config(endpoint);
    change(&mut config);
    config.validate().expect("valid");
    let s3 = S3::connect(&config).await.with_part_bytes(10);
    assert_eq!(s3.put_new("small", object(3)).await, Ok(Put::Created));
    assert_eq!(s3.put_new("large", object(25)).await, Ok(Put::Created));
    let log = log.lock().expect("no panic");
    let makes = |asked: &&fake::Asked| asked.target.starts_with("/finflow/small") || asked.target.contains("uploads");
    let said = |asked: &fake::Asked| {
        let with = asked.header("x-amz-server-side-encryption");
        (with, asked.header("x-amz-server-side-encryption-aws-kms-key-id"))
    };
    log.iter().filter(makes).map(said).collect()
}

#[tokio::test]
async fn objects_are_encrypted_as_it_is_set() {
    assert_eq!(encryption(|_| ()).await, vec![(None, None); 2]);
    let s3 = encryption(|config| config.encryption = Encryption::SseS3).await;
    assert_eq!(s3, vec![(Some("AES256".to_owned()), None); 2]);
    let kms = encryption(|config| {
        config.encryption = Encryption::SseKms;
        config.kms_key = "key-1".to_owned();
    });
    assert_eq!(kms.await, vec![(Some("aws:kms".to_owned()), Some("key-1".to_owned())); 2]);
}

#[tokio::test]
async fn the_requester_pays_for_every_request_or_for_none() {
    for pays in [false, true] {
        let (endpoint, log) = store().await;
        let s3 = S3::connect(&S3Config { request_payer: pays, ..config(endpoint) }).await.with_part_bytes(10);
        s3.put_new("small", object(3)).await.expect("put");
        s3.put_new("large", object(25)).await.expect("put in parts");
        s3.get("x").await.expect("got");
        s3.get_range("x", 0..1).await.expect("got");
        s3.head("x").await.expect("looked at");
        s3.list("", None, 1).await.expect("listed");
        s3.list_sized("").await.expect("listed");
        s3.delete("x").await.expect("deleted");
        let log = log.lock().expect("no panic");
        // One small, five for three parts, and the six others.
        assert_eq!(log.len(), 12);
        for asked in &*log {
            let said = asked.header("x-amz-request-payer");
            assert_eq!(said.as_deref(), pays.then_some("requester"), "{} {}", asked.method, asked.target);
        }
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let with = |change: fn(&mut S3Config)| {
        let mut config = config(String::new());
        change(&mut config);
        config.validate().expect_err("refused")
    };
    assert!(with(|config| config.kms_key = "k".to_owned()).contains("s3.encryption"));
    assert!(with(|config| config.external_id = "e".to_owned()).contains("s3.role_arn"));
    assert!(with(|config| config.role_arn = "lake".to_owned()).contains("whole ARN"));
}

/// What STS was asked, and the keys that the store saw, of a process of its own: settings of STS are of the environment.
fn child(sts: Option<&str>, role: &str, more: &[(&str, &str)]) -> (String, String, String) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (endpoint, log) = runtime.block_on(store());
    let asked = Arc::<Mutex<String>>::default();
    let kept = asked.clone();
    let fake_sts = runtime.block_on(fake::start(move |asked| {
        let text = String::from_utf8_lossy(&asked.bytes).into_owned();
        let action = if text.contains("WebIdentity") { "AssumeRoleWithWebIdentity" } else { "AssumeRole" };
        *kept.lock().expect("no panic") += &text;
        let body = format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><AssumedRoleUser>\
             <AssumedRoleId>i</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser><Credentials>\
             <AccessKeyId>ASIATAKEN</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></{action}Result></{action}Response>"
        );
        fake::reply("200 OK", "Content-Type: text/xml\r\n", &body)
    }));
    let output =
        command(&endpoint, sts.unwrap_or(&fake_sts), role).envs(more.iter().copied()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let log = log.lock().expect("no panic");
    let header = |name| log[0].header(name).unwrap_or_default();
    let asked = asked.lock().expect("no panic").clone();
    (asked, header("authorization"), header("x-amz-security-token"))
}

fn command(endpoint: &str, sts: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "access::a_child_asks_the_store", "--ignored"]);
    command.envs([
        ("FINFLOW_TEST_CHILD_S3", endpoint),
        ("FINFLOW_TEST_CHILD_ROLE", role),
        ("AWS_ENDPOINT_URL_STS", sts),
    ]);
    command
}

#[test]
#[ignore = "other tests run it"]
fn a_child_asks_the_store() {
    let var = |name| std::env::var(name).expect("another test sets it");
    let mut config = S3Config { endpoint: var("FINFLOW_TEST_CHILD_S3"), ..S3Config::default() };
    config.role_arn = var("FINFLOW_TEST_CHILD_ROLE");
    if !config.role_arn.is_empty() {
        config.external_id = "who".to_owned();
        config.access_key = "AKIAOWN".to_owned();
        config.secret_key = Secret::new("s");
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Err(error) = runtime.block_on(async { S3::connect(&config).await.head("x").await }) {
        panic!("{} {} {error}", error.trouble.as_str(), error.is_transient());
    }
}

const ROLE: &str = "arn:aws:iam::123456789012:role/lake";

#[test]
fn a_role_is_taken_with_the_own_keys() {
    let (asked, authorization, token) = child(None, ROLE, &[]);
    for words in
        ["Action=AssumeRole&", "role%2Flake", "ExternalId=who", "RoleSessionName=finflow", "Credential=AKIAOWN/"]
    {
        assert!(asked.contains(words), "{words} in {asked}");
    }
    assert!(authorization.contains("Credential=ASIATAKEN/") && token == "token", "{authorization} {token}");
}

#[test]
fn the_web_identity_of_a_pod_is_taken() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "a-token").expect("written");
    let path = file.path().to_str().expect("a path");
    let more = [("AWS_WEB_IDENTITY_TOKEN_FILE", path), ("AWS_ROLE_ARN", ROLE), ("AWS_REGION", "us-east-1")];
    let (asked, authorization, token) = child(None, "", &more);
    assert!(
        asked.contains("Action=AssumeRoleWithWebIdentity&") && asked.contains("WebIdentityToken=a-token"),
        "{asked}"
    );
    assert!(authorization.contains("Credential=ASIATAKEN/") && token == "token", "{authorization} {token}");
}

/// What a process that may not have the keys says.
fn complaint(sts: &str, more: &[(&str, &str)], role: &str) -> String {
    let output = command("http://127.0.0.1:9", sts, role).envs(more.iter().copied()).output().expect("it runs");
    assert!(!output.status.success(), "it has the keys");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn an_sts_that_is_away_is_waited_for_and_one_that_refuses_is_not() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("an address");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let answering = |status: &'static str, code: &'static str| {
        let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>");
        runtime.block_on(fake::start(move |_| fake::reply(status, "Content-Type: text/xml\r\n", &body)))
    };
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "a-token").expect("written");
    let path = file.path().to_str().expect("a path");
    let pod = [("AWS_WEB_IDENTITY_TOKEN_FILE", path), ("AWS_ROLE_ARN", ROLE), ("AWS_REGION", "us-east-1")];
    for (sts, trouble, words) in [
        (format!("http://{nobody}"), "keys_away true", "STS does not give the keys: Connection refused"),
        (answering("503 Service Unavailable", "ServiceUnavailable"), "keys_away true", "STS does not give the keys"),
        (answering("403 Forbidden", "AccessDenied"), "wrong_keys false", "check the access key"),
    ] {
        for said in [complaint(&sts, &[], ROLE), complaint(&sts, &pod, "")] {
            assert!(said.contains(trouble) && said.contains(words), "{trouble}, {words} in {said}");
        }
    }
}

#[test]
fn sts_is_asked_by_tls_although_the_store_speaks_none() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let sts = format!("https://{}", listener.local_addr().expect("an address"));
    let (sender, first_bytes) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut bytes = [0; 2];
            let _ = std::io::Read::read_exact(&mut socket, &mut bytes);
            let _ = sender.send(bytes);
        }
    });
    // It ends with an error: the other side says nothing.
    command("http://127.0.0.1:9", &sts, ROLE).output().expect("it runs");
    // A handshake of TLS begins with its record's kind and version.
    assert_eq!(first_bytes.recv_timeout(std::time::Duration::from_secs(10)), Ok([0x16, 3]));
}

/// The same with an STS of others (moto).
#[test]
fn a_role_is_taken_of_an_sts_of_others() {
    let Ok(sts) = std::env::var("FINFLOW_TEST_STS") else { return println!("skipped: FINFLOW_TEST_STS is not set") };
    let (_, authorization, token) = child(Some(&sts), ROLE, &[]);
    assert!(!authorization.contains("AKIAOWN") && !token.is_empty(), "{authorization} {token}");
}
