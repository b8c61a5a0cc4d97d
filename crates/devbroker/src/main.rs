//! A broker by itself: `devbroker DIR [ADDR]`. Prints where it listens; SIGTERM and Ctrl-C stop it cleanly.

use devbroker::{Broker, Options};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (dir, addr) = (arguments.next(), arguments.next().unwrap_or_else(|| "127.0.0.1:9092".to_owned()));
    let (Some(dir), Ok(addr)) = (dir, addr.parse()) else {
        eprintln!("usage: devbroker DIR [IP:PORT]");
        return ExitCode::from(2);
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        eprintln!("cannot listen for signals");
        return ExitCode::FAILURE;
    };
    let broker = match Broker::start(Options::new(dir, addr)).await {
        Ok(broker) => broker,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", broker.addr());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    broker.stop().await;
    ExitCode::SUCCESS
}
