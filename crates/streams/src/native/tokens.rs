//! Keeps the token of a client of Amazon MSK good for as long as the client lives.
//!
//! librdkafka can ask for tokens itself, but only while somebody polls it; a stage that works on a long batch would lose its
//! connections. A thread per client gives it the next one in time instead.

use std::ffi::{CStr, CString};
use std::ops::Deref;
use std::os::raw::c_char;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::{Clock, SystemClock};
use msk::{MskError, Signer, Token};
use rdkafka_sys as sys;

use crate::config::KafkaConfig;

/// Who the token is of: MSK reads that from its signature, librdkafka wants a name.
const PRINCIPAL: &CStr = c"finflow";
/// How long the making of a client waits for its first token; later it goes on without.
const FIRST: Duration = Duration::from_secs(10);
/// Until the next try after a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// A client and whoever keeps its token good, which ends first.
pub(crate) struct Kept<T> {
    _tokens: Option<Tokens>,
    client: T,
}

impl<T> Kept<T> {
    /// Nothing to keep unless the settings ask for IAM. Waits for the first token, so that connections do not begin without.
    pub(crate) fn new(kafka: &KafkaConfig, client: T, native: impl Fn(&T) -> *mut sys::rd_kafka_t) -> Self {
        let tokens = kafka.security.iam_region().map(|region| Tokens::keep(region.to_owned(), Client(native(&client))));
        Kept { _tokens: tokens, client }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.client
    }
}

/// The client that belongs to the same [`Kept`].
struct Client(*mut sys::rd_kafka_t);

// SAFETY: librdkafka takes tokens from any thread, and `Kept` joins the one here before it frees the client.
unsafe impl Send for Client {}

struct Tokens {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tokens {
    fn keep(region: String, client: Client) -> Self {
        let ((stop, stopped), (first, given)) = (channel(), channel());
        let thread = std::thread::Builder::new().name("msk-token".to_owned());
        let thread = thread.spawn(move || run(&region, &client, &stopped, first)).ok();
        given.recv_timeout(FIRST).ok();
        Self { stop: Some(stop), thread }
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

fn run(region: &str, client: &Client, stopped: &Receiver<()>, first: Sender<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let mut signer = None;
    let mut first = Some(first);
    loop {
        let token = runtime.block_on(next(&mut signer, region));
        let wait = match token {
            Ok(token) => match client.give(&token) {
                Ok(()) => remaining(&token).mul_f64(0.8).max(AGAIN),
                Err(why) => {
                    tracing::error!(why, "librdkafka does not take the token for MSK, trying again");
                    AGAIN
                }
            },
            Err(error) => {
                tracing::error!(%error, "no token for MSK, trying again");
                client.fail(&error.to_string());
                AGAIN
            }
        };
        drop(first.take());
        if stopped.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

impl Client {
    fn give(&self, token: &Token) -> Result<(), String> {
        let value = CString::new(token.value.as_str()).map_err(|error| error.to_string())?;
        let expires = token.expires.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        let expires_ms = i64::try_from(expires.as_millis()).map_err(|error| error.to_string())?;
        let mut said = [0 as c_char; 512];
        let (value, name, none) = (value.as_ptr(), PRINCIPAL.as_ptr(), std::ptr::null_mut());
        let (buffer, room) = (said.as_mut_ptr(), said.len());
        // SAFETY: all live during the call, and no extensions are given.
        let code =
            unsafe { sys::rd_kafka_oauthbearer_set_token(self.0, value, expires_ms, name, none, 0, buffer, room) };
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        // SAFETY: librdkafka has ended it with a zero.
        Err(unsafe { super::text(said.as_ptr()) })
    }

    /// Says why there is no token; connections that need one fail with it.
    fn fail(&self, why: &str) {
        let why = CString::new(why.replace('\0', " ")).unwrap_or_default();
        // SAFETY: both live during the call.
        unsafe { sys::rd_kafka_oauthbearer_set_token_failure(self.0, why.as_ptr()) };
    }
}

async fn next(signer: &mut Option<Signer>, region: &str) -> Result<Token, MskError> {
    let signer = match signer {
        Some(signer) => signer,
        none => none.insert(Signer::of_environment(region).await?),
    };
    signer.token(now()).await
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(SystemClock.now_ns().unsigned_abs())
}

fn remaining(token: &Token) -> Duration {
    token.expires.duration_since(now()).unwrap_or_default()
}
