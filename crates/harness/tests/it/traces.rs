//! Spans reach an OTLP endpoint before the process ends, and a deaf endpoint does not hold the process up.

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, echo, output};

/// Takes what is sent and never answers. The protobuf inside is not compressed, so names can be seen in it.
#[test]
fn spans_are_flushed_to_the_endpoint_before_exit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            seen.extend_from_slice(&chunk[..read]);
        }
        sender.send(String::from_utf8_lossy(&seen).into_owned()).unwrap();
    });
    let started = Instant::now();
    let setting = format!("otlp.endpoint={endpoint}");
    let args = ["--admin", "off", "--until-end", "--set", &setting, "--set", "otlp.timeout=500ms"];
    let (code, _, stderr) = output(echo().args(args));
    assert_eq!(code, 0, "{stderr}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let seen = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(seen.starts_with("PRI * HTTP/2.0"), "{seen}");
    for name in ["echo_work", "finflow-echo", "service.name"] {
        assert!(seen.contains(name), "{name} in {seen}");
    }
}
