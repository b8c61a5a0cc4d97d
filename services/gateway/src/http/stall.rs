//! A connection whose other end must take something now and then.
//!
//! A client that stops reading costs a slot for as long as it likes: no error ever comes. So a write that waits longer
//! than the limit fails, and the connection ends.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

pub(super) struct Guard<T, F> {
    inner: T,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    /// A write is waiting.
    waiting: bool,
    on_stall: F,
}

impl<T, F: Fn() + Unpin> Guard<T, F> {
    pub(super) fn new(inner: T, limit: Duration, on_stall: F) -> Self {
        Guard { inner, limit, timer: Box::pin(tokio::time::sleep(limit)), waiting: false, on_stall }
    }

    fn watch<R>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if write.is_ready() {
            self.waiting = false;
            return write;
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        (self.on_stall)();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<T: AsyncRead + Unpin, F: Fn() + Unpin> AsyncRead for Guard<T, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin, F: Fn() + Unpin> AsyncWrite for Guard<T, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(1500);

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_let_go_and_a_slow_one_is_not() {
        let stalls = Arc::new(AtomicUsize::new(0));
        let count = stalls.clone();
        let (server, mut client) = tokio::io::duplex(8);
        let mut guard = Guard::new(server, LIMIT, move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let reading = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(LIMIT / 3).await;
                client.read_exact(&mut [0; 8]).await.unwrap();
            }
            client
        });
        guard.write_all(&[1; 32]).await.expect("longer than the limit in all, never without a byte for as long");
        let _takes_nothing_more = reading.await.unwrap();
        let error = guard.write_all(&[1; 16]).await.unwrap_err();
        assert_eq!((error.kind(), stalls.load(Ordering::SeqCst)), (io::ErrorKind::TimedOut, 1));
    }
}
