//! `finflow doctor` against a part that is ill at first.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::finflow::finflow;

/// A server that gives one answer after the other, one per connection; its URL.
fn server(answers: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/ready", listener.local_addr().expect("it has an address"));
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().expect("somebody asks");
            // To the empty line: what is left unread would reset the connection.
            let lines = BufReader::new(&stream).lines().map(|line| line.expect("text"));
            let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            assert_eq!(asked.first().map(String::as_str), Some("GET /ready HTTP/1.1"));
            write!(&stream, "HTTP/1.1 {answer}").expect("it listens");
        }
    });
    url
}

const ILL: &str = "503 Service Unavailable\r\n\r\n{\"ready\":false}";
const WELL: &str = "200 OK\r\n\r\nok";

#[test]
fn doctor_says_what_is_ill_and_waits_until_it_is_well() {
    let ill = server(&[ILL]);
    let once = finflow().args(["doctor", "--url", &ill]).output().expect("finflow runs");
    let said = String::from_utf8_lossy(&once.stdout).into_owned();
    assert_eq!(once.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("ill   {ill}: 503 Service Unavailable {{\"ready\":false}}")), "{said}");

    let (first, second) = (server(&[ILL, ILL, WELL]), server(&[WELL, WELL, WELL]));
    let waited = finflow().args(["doctor", "--wait", "20s", "--url", &first, "--url", &second]).output();
    let waited = waited.expect("finflow runs");
    let said = String::from_utf8_lossy(&waited.stdout).into_owned();
    assert_eq!(waited.status.code(), Some(0), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("well")).count(), 2, "{said}");
}
