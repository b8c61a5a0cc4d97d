//! `finflow doctor`: asks the parts of a running pipeline how they are, until all are well or the time is over.
//!
//! In: URLs of plain HTTP, such as the `/ready` of each stage. Out: a line for each, with what it said, and the exit code.
//! `helm test` is this command; so it needs no shell and no other program in its image.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::cli::DoctorArgs;

/// One question may take this long: a stage answers at once or is stuck.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(500);
/// Of an answer, so much is read and shown.
const SHOWN_BYTES: u64 = 2000;

pub fn main(args: &DoctorArgs) -> ExitCode {
    let deadline = Instant::now() + args.wait.0;
    loop {
        let answers: Vec<anyhow::Result<()>> = args.url.iter().map(|url| ask(url)).collect();
        let well = answers.iter().all(Result::is_ok);
        if well || Instant::now() + PAUSE > deadline {
            for (url, answer) in args.url.iter().zip(&answers) {
                match answer {
                    Ok(()) => println!("well  {url}"),
                    Err(error) => println!("ill   {url}: {error:#}"),
                }
            }
            return if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the URL answers with a success.
fn ask(url: &str) -> anyhow::Result<()> {
    let Some(rest) = url.strip_prefix("http://") else { bail!("only http:// is asked") };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let found = address.to_socket_addrs().with_context(|| format!("find {address}"))?.next();
    let found = found.with_context(|| format!("{address} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&found, ANSWER).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(ANSWER)).context("set a time limit")?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").context("ask")?;
    let mut answer = Vec::new();
    stream.take(SHOWN_BYTES).read_to_end(&mut answer).context("read the answer")?;
    judge(&String::from_utf8_lossy(&answer))
}

/// A status of 2xx is well; else what was said, with the body, which tells the reason.
fn judge(answer: &str) -> anyhow::Result<()> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 ");
    if status.starts_with('2') {
        return Ok(());
    }
    bail!("{} {}", if status.is_empty() { "no answer" } else { status }, body.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_well_and_anything_else_says_why() {
        assert!(judge("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_ok());
        assert!(judge("HTTP/1.1 204 No Content\r\n\r\n").is_ok());
        let ill = judge("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false}\n").expect_err("not ready");
        assert_eq!(ill.to_string(), "503 Service Unavailable {\"ready\":false}");
        assert_eq!(judge("").expect_err("nothing came").to_string(), "no answer ");
        assert!(ask("https://localhost/").is_err());
    }
}
