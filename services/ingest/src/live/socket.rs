//! A WebSocket, as a task: what comes is told, what is to be sent is sent. It decides nothing.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::connection::LinkId;

/// How long the end of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a socket tells its line.
#[derive(Debug)]
pub enum Told {
    Opened,
    Refused(u16, Option<Duration>),
    Closed(String),
    Alive,
    Frame(tungstenite::Bytes),
}

#[derive(Debug)]
pub enum Order {
    Send(String),
    Ping,
}

/// Runs until the socket ends or the line drops its end of `orders`.
pub async fn run(link: LinkId, address: String, told: Sender<(LinkId, Told)>, mut orders: Receiver<Order>) {
    let connecting = tokio_tungstenite::connect_async(&address);
    let opened = tokio::select! {
        opened = connecting => opened,
        // Nobody waits for it any more.
        () = closed(&mut orders) => return,
    };
    let mut socket = match opened {
        Ok((socket, _)) => socket,
        Err(tungstenite::Error::Http(answer)) => {
            let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
            told.send((link, Told::Refused(answer.status().as_u16(), wait.map(Duration::from_secs)))).await.ok();
            return;
        }
        Err(error) => {
            told.send((link, Told::Closed(error.to_string()))).await.ok();
            return;
        }
    };
    told.send((link, Told::Opened)).await.ok();
    let why = loop {
        tokio::select! {
            frame = socket.next() => {
                let tell = match frame {
                    Some(Ok(Message::Text(text))) => Told::Frame(text.into()),
                    Some(Ok(Message::Binary(bytes))) => Told::Frame(bytes),
                    // Pings are answered by the library when it is asked for the next frame.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Told::Alive,
                    Some(Ok(Message::Close(frame))) => {
                        // The answer is queued; the venue waits for it before it lets go.
                        tokio::time::timeout(GOODBYE, socket.flush()).await.ok();
                        break frame.map_or("closed".to_owned(), |frame| format!("closed with {} {}", frame.code, frame.reason));
                    }
                    Some(Ok(Message::Frame(_))) => continue,
                    Some(Err(error)) => break error.to_string(),
                    None => break "closed".to_owned(),
                };
                if told.send((link, tell)).await.is_err() {
                    return;
                }
            }
            order = orders.recv() => {
                let sent = match order {
                    Some(Order::Send(text)) => socket.send(Message::text(text)).await,
                    Some(Order::Ping) => socket.send(Message::Ping(tungstenite::Bytes::new())).await,
                    None => {
                        // Politely, but not for long: the venue may not be there any more.
                        tokio::time::timeout(GOODBYE, socket.close(None)).await.ok();
                        return;
                    }
                };
                if let Err(error) = sent {
                    break error.to_string();
                }
            }
        }
    };
    told.send((link, Told::Closed(why))).await.ok();
}

async fn closed(orders: &mut Receiver<Order>) {
    while orders.recv().await.is_some() {}
}
