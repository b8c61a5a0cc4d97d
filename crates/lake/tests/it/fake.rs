//! A server that answers as a test wishes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request, and all its bytes as they came.
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub bytes: Vec<u8>,
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let head = text.split("\r\n\r\n").next()?;
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        headers.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    }

    pub fn is_list(&self) -> bool {
        self.target.contains("list-type=2")
    }
}

/// Every connection is for one request.
pub async fn start(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let answer = std::sync::Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                if let Some(asked) = read(&mut socket).await {
                    let _ = socket.write_all(answer(&asked).as_bytes()).await;
                }
            });
        }
    });
    format!("http://{addr}")
}

pub fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

pub async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length =
                head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0) {
                let mut words = head.split(' ').map(str::to_owned);
                return Some(Asked { method: words.next()?, target: words.next()?, bytes });
            }
        }
        let more = socket.read(&mut buffer).await.ok().filter(|more| *more > 0)?;
        bytes.extend_from_slice(&buffer[..more]);
    }
}
