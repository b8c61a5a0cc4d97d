//! A WebSocket, as a task: what comes is told, what is to be sent is sent. It decides nothing.
//!
//! Frames that have come together are told together: to tell each would cost more than to read it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::connection::LinkId;

/// The most frames that are told at once.
pub const AT_ONCE: usize = 128;
/// So much is read at once. The library clears as much before each look at the socket, also where one short frame comes, and its own
/// 128 KiB are so much that the allocator tidies up whenever they are freed.
const READ_BYTES: usize = 32 * 1024;
/// How long the end of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a socket tells its line.
#[derive(Debug)]
pub enum Told {
    Opened,
    Refused(u16, Option<Duration>),
    Closed(String),
    Alive,
    /// At least one, in their order.
    Frames(Vec<tungstenite::Bytes>),
}

#[derive(Debug)]
pub enum Order {
    Send(String),
    Ping,
}

/// Runs until the socket ends or the line drops its end of `orders`.
pub async fn run(link: LinkId, address: String, told: Sender<(LinkId, Told)>, mut orders: Receiver<Order>) {
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
    let connecting = tokio_tungstenite::connect_async_with_config(&address, Some(config), false);
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
            (frames, then) = poll_fn(|context| read(&mut socket, context)) => {
                if !frames.is_empty() && told.send((link, Told::Frames(frames))).await.is_err() {
                    return;
                }
                match then {
                    // Pings are answered by the library when it is asked for the next frame.
                    Then::Came(Message::Ping(_) | Message::Pong(_)) => {
                        if told.send((link, Told::Alive)).await.is_err() {
                            return;
                        }
                    }
                    Then::Came(Message::Close(frame)) => {
                        // The answer is queued; the venue waits for it before it lets go.
                        tokio::time::timeout(GOODBYE, socket.flush()).await.ok();
                        break frame.map_or("closed".to_owned(), |frame| format!("closed with {} {}", frame.code, frame.reason));
                    }
                    Then::Came(_) | Then::Nothing => {}
                    Then::Over(why) => break why,
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

/// What followed the frames.
enum Then {
    /// It has not come yet, or has not been looked at.
    Nothing,
    Came(Message),
    Over(String),
}

/// The frames that are there, and what comes behind them. Waits for the first, and for no other: once one has been taken it is ready, so
/// that none is lost where something else is ready first.
fn read(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
    context: &mut Context<'_>,
) -> Poll<(Vec<tungstenite::Bytes>, Then)> {
    let mut frames = Vec::new();
    while frames.len() < AT_ONCE {
        let then = match socket.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(Message::Text(text)))) => {
                frames.push(text.into());
                continue;
            }
            Poll::Ready(Some(Ok(Message::Binary(bytes)))) => {
                frames.push(bytes);
                continue;
            }
            Poll::Ready(Some(Ok(other))) => Then::Came(other),
            Poll::Ready(Some(Err(error))) => Then::Over(error.to_string()),
            Poll::Ready(None) => Then::Over("closed".to_owned()),
            Poll::Pending if frames.is_empty() => return Poll::Pending,
            Poll::Pending => Then::Nothing,
        };
        return Poll::Ready((frames, then));
    }
    Poll::Ready((frames, Then::Nothing))
}

async fn closed(orders: &mut Receiver<Order>) {
    while orders.recv().await.is_some() {}
}
