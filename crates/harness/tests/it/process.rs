//! A running `echo`: its admin port, its log, signals to it, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long, because the machine may be busy; nothing waits that long when it works.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Echo {
    child: Child,
    log: Arc<Mutex<String>>,
    pub admin: SocketAddr,
}

/// `target/<profile>/examples/echo`, which cargo builds along with this test.
pub fn echo() -> Command {
    let test = std::env::current_exe().unwrap();
    let path: PathBuf = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/echo");
    assert!(path.exists(), "{} is missing: run `cargo test -p harness`, which builds it", path.display());
    let mut command = Command::new(path);
    // What the machine's environment happens to hold must not decide a test.
    command.env_clear().current_dir(std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// Runs to its end: exit code, standard output, standard error.
pub fn output(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = condition() {
            return result;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Echo {
    /// Starts it with an admin port of its own and waits until that answers.
    pub fn start(args: &[&str]) -> Self {
        let mut child = echo().args(["--admin", "127.0.0.1:0"]).args(args).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, sink) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                sink.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let admin = eventually("the admin port is open", || {
            let log = log.lock().unwrap();
            let line = log.lines().find(|line| line.contains("admin port open"))?;
            serde_json::from_str::<serde_json::Value>(line).unwrap()["addr"].as_str().unwrap().parse().ok()
        });
        Echo { child, log, admin }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", || self.child.try_wait().unwrap())
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        http(self.admin, "GET", path, "").unwrap()
    }

    pub fn put(&self, path: &str, body: &str) -> (u16, String) {
        http(self.admin, "PUT", path, body).unwrap()
    }

    pub fn wait_ready(&self) {
        eventually("it is ready", || (self.get("/ready").0 == 200).then_some(()));
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn http(addr: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Ok((status, body.to_owned()))
}
