//! Partitions that the store registers in a catalog, which may be away.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use std::io::{Read, Write};

use serde_json::Value;
use testkit::eventually;

use crate::world::{LONG, World};

/// Answers as Glue does where a table has no partitions, and remembers what was registered.
#[derive(Clone, Default)]
struct Glue(Arc<Mutex<BTreeSet<String>>>);

impl Glue {
    fn serve(&self, address: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(address).expect("the port is free");
        let address = listener.local_addr().expect("an address");
        let kept = self.0.clone();
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let (mut request, mut buffer) = (Vec::new(), [0; 65_536]);
                while !request.ends_with(b"}") {
                    match socket.read(&mut buffer) {
                        Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                        _ => break,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
                let body: Value = serde_json::from_str(body).expect("JSON");
                for input in body["PartitionInputList"].as_array().into_iter().flatten() {
                    let location = input["StorageDescriptor"]["Location"].as_str().expect("a place").to_owned();
                    kept.lock().expect("no panic").insert(location);
                }
                let answer = r#"{"Partitions":[],"Errors":[]}"#;
                let length = answer.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = socket.write_all((head + answer).as_bytes());
            }
        });
        address
    }

    fn registered(&self) -> BTreeSet<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// What the lake has, as the catalog names it.
fn places(world: &World) -> BTreeSet<String> {
    let bucket = &world.config.s3.bucket;
    world
        .objects()
        .into_keys()
        .map(|key| format!("s3://{bucket}/{}/", key.rsplit_once('/').expect("a folder").0))
        .collect()
}

fn world(name: &str, endpoint: SocketAddr) -> World {
    let mut world = World::new(name, [1, 1, 1, 1]);
    world.config.catalog.register = true;
    world.config.catalog.endpoint = format!("http://{endpoint}");
    world
}

#[test]
fn each_partition_is_registered_when_it_has_an_object() {
    let glue = Glue::default();
    let mut world = world("glue", glue.serve("127.0.0.1:0".parse().expect("an address")));
    // Stored by a run that registers nothing: the next finds it.
    world.config.catalog.register = false;
    world.trades(0, 60);
    world.drain();
    assert_eq!(glue.registered(), BTreeSet::new());
    world.config.catalog.register = true;
    world.trades(60, 200);
    world.drain();
    assert_eq!(places(&world).len(), 4, "200 minutes");
    assert_eq!(glue.registered(), places(&world));
}

#[test]
fn a_catalog_that_is_away_delays_nothing_and_hears_of_all_when_it_is_back() {
    let address = testkit::free_addr();
    let mut world = world("no-glue", address);
    world.config.rotate.rows = 60;
    world.trades(0, 180);
    let running = world.start();
    eventually(LONG, "all is stored", || (running.gauge("rows_total") == Some(180.0)).then_some(()));
    eventually(LONG, "the trouble is counted", || {
        (running.gauge("register_errors_total")? > 0.0 && running.gauge("unregistered_partitions")? > 0.0).then_some(())
    });
    let glue = Glue::default();
    glue.serve(address);
    eventually(LONG, "all is registered", || (glue.registered() == places(&world)).then_some(()));
    running.stop();
    world.assert_exactly_once(&world.config.input, 0, 180);
}
