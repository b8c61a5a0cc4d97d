//! Keys that STS gives, once it is there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use testkit::eventually;

use crate::process::{Process, command};
use crate::world::{LONG, World};

/// Gives these keys to whoever asks for a role.
fn serve(address: SocketAddr, access_key: &str, secret_key: &str) {
    let listener = TcpListener::bind(address).expect("the port is free");
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
         <AssumedRoleId>i</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 65_536]);
            let _ = socket.write_all(answer.as_bytes());
        }
    });
}

#[test]
fn an_sts_that_is_away_at_the_start_is_waited_for() {
    let world = World::new("sts", [1, 1, 1, 1]);
    world.trades(0, 20);
    let sts = testkit::free_addr();
    let mut command = command(&world, &world.config.s3.endpoint, &world.config.group);
    command.args(["--until-end", "--set", "s3.role_arn=arn:aws:iam::123456789012:role/lake"]);
    let mut child =
        command.env("AWS_ENDPOINT_URL_STS", format!("http://{sts}")).stderr(Stdio::piped()).spawn().expect("it starts");
    let (said, stderr) = (Arc::<Mutex<String>>::default(), child.stderr.take().expect("piped"));
    let kept = said.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            *kept.lock().expect("no panic") += &(line + "\n");
        }
    });
    let mut process = Process(child);
    eventually(LONG, "it says what it waits for", || {
        let said = said.lock().expect("no panic");
        (said.contains("STS does not give the keys: Connection refused") && said.contains("asked again")).then_some(())
    });
    assert!(!process.has_ended(), "it ended: {said:?}");
    serve(sts, &world.config.s3.access_key, world.config.s3.secret_key.expose());
    eventually(LONG, "everything is stored", || process.has_ended().then_some(()));
    world.assert_exactly_once(&world.config.input, 0, 20);
}
