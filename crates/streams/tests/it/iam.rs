//! The role of AWS IAM at a broker: what a client says before anything else.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};

use streams::{Admin, KafkaConfig};

use crate::kit::{Kit, LONG};

/// A broker as far as SASL goes: it names its APIs, takes the mechanism, and hands on what proves who asks.
fn listen(listener: &TcpListener, proofs: &Sender<(String, String)>) {
    while let Ok((stream, _)) = listener.accept() {
        let proofs = proofs.clone();
        std::thread::spawn(move || serve(stream, &proofs));
    }
}

fn serve(mut stream: TcpStream, proofs: &Sender<(String, String)>) -> Option<()> {
    let mut mechanism = String::new();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).ok()?;
        let (api, correlation) = (i16::from_be_bytes(request[..2].try_into().ok()?), &request[4..8]);
        let client = usize::from(u16::from_be_bytes(request[8..10].try_into().ok()?));
        let body = &request[10 + client..];
        let mut answer = correlation.to_vec();
        match api {
            // ApiVersions 3: no error, three APIs, no throttling, no tags.
            18 => {
                answer.extend([0, 0, 4]);
                for (key, most) in [(17i16, 1i16), (18, 3), (36, 1)] {
                    answer.extend([key, 0, most].map(i16::to_be_bytes).concat());
                    answer.push(0);
                }
                answer.extend([0; 5]);
            }
            // SaslHandshake 1: no error, and this mechanism among those offered.
            17 => {
                mechanism = String::from_utf8_lossy(&body[2..]).into_owned();
                answer.extend([0, 0, 0, 0, 0, 1]);
                answer.extend(body);
            }
            // SaslAuthenticate: bytes with their length.
            36 => {
                proofs.send((mechanism.clone(), String::from_utf8_lossy(&body[4..]).into_owned())).ok();
                return None;
            }
            _ => return None,
        }
        stream.write_all(&u32::try_from(answer.len()).ok()?.to_be_bytes()).ok()?;
        stream.write_all(&answer).ok()?;
    }
}

/// Keys and region come from the environment, so it runs in a process of its own: `iam_child`.
#[test]
fn a_client_proves_its_role_by_a_token() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let brokers = listener.local_addr().unwrap().to_string();
    let (sender, proofs) = channel();
    std::thread::spawn(move || listen(&listener, &sender));
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["iam::child", "--exact", "--nocapture"])
        .env("FINFLOW_TEST_IAM_BROKERS", &brokers)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "not-shown-anywhere")
        .env("AWS_REGION", "eu-west-1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let proof = proofs.recv_timeout(LONG);
    child.kill().ok();
    child.wait().ok();
    let (mechanism, said) = proof.unwrap();
    assert_eq!(mechanism, "OAUTHBEARER");
    let token = said.strip_prefix("n,,\u{1}auth=Bearer ").and_then(|rest| rest.strip_suffix("\u{1}\u{1}")).unwrap();
    // `https://kafka.eu-west-1.amazonaws.com/?Action=kafka-clus` in base64.
    assert!(token.starts_with("aHR0cHM6Ly9rYWZrYS5ldS13ZXN0LTEuYW1hem9uYXdzLmNvbS8_QWN0aW9uPWthZmthLWNsdX"), "{token}");
}

#[test]
fn child() {
    let Ok(brokers) = std::env::var("FINFLOW_TEST_IAM_BROKERS") else { return };
    let mut kafka = KafkaConfig { brokers, ..KafkaConfig::default() };
    // A test has no certificates; the settings of a stage are refused without TLS.
    kafka.security =
        serde_json::from_value(serde_json::json!({"protocol": "sasl_plaintext", "mechanism": "AWS_MSK_IAM"})).unwrap();
    assert!(kafka.validate().unwrap_err().contains("sasl_ssl"));
    let admin = Admin::new(&Kit::new().env, &kafka).unwrap();
    admin.list().unwrap();
}
