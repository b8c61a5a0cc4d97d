//! What a service can be told while it runs: commands on its admin port, for whoever knows the token.
//!
//! A service registers a path and what answers it ([`Commands::register`]). Without a token in the settings nobody is let in.
//! Each call is logged under `audit`: who from where, what, and how it was answered.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::secret::Secret;

const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// A call that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub body: String,
    /// Where it came from.
    pub peer: String,
}

/// Status and text.
pub type Reply = (u16, String);

type Handler = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

#[derive(Clone)]
struct Command {
    prefix: &'static str,
    token: Secret,
    setting: &'static str,
    handler: Handler,
}

/// Clones share the commands.
#[derive(Clone, Default)]
pub struct Commands(Arc<Mutex<Vec<Command>>>);

impl Commands {
    /// Answers calls below this path, such as `/feeds/`. `setting` names the key that holds the token.
    pub fn register(
        &self,
        prefix: &'static str,
        token: Secret,
        setting: &'static str,
        handler: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) {
        let command = Command { prefix, token, setting, handler: Arc::new(handler) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(command);
    }

    fn of(&self, path: &str) -> Option<Command> {
        let commands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        commands.iter().find(|command| path.starts_with(command.prefix)).cloned()
    }

    fn answer(&self, call: &Call, authorization: Option<&str>) -> Reply {
        let Some(command) = self.of(&call.path) else { return (404, "there is nothing here\n".to_owned()) };
        let (method, path, peer) = (&call.method, &call.path, &call.peer);
        let refused = |status: u16, why: String| {
            tracing::warn!(target: "audit", method, path, peer, status, why, "admin call refused");
            (status, format!("{why}\n"))
        };
        if command.token.is_empty() {
            return refused(403, format!("nobody is let in here: set `{}`", command.setting));
        }
        let given = authorization.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default().trim();
        if !same(given.as_bytes(), command.token.expose().as_bytes()) {
            return refused(401, format!("wants `authorization: Bearer` with the token of `{}`", command.setting));
        }
        let (status, text) = (command.handler)(call);
        tracing::info!(target: "audit", method, path, peer, status, answer = text.trim(), "admin call");
        (status, text)
    }
}

/// In a time that does not tell how much of it was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

pub(crate) async fn serve(State(commands): State<Commands>, request: Request) -> Response {
    let (parts, body): (_, Body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>();
    let peer = peer.map_or_else(|| "unknown".to_owned(), |ConnectInfo(addr)| addr.to_string());
    let text = to_bytes(body, BODY_LIMIT_BYTES).await.ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    let Some(body) = text else {
        let why = format!("the body is no text of at most {BODY_LIMIT_BYTES} bytes\n");
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let call = Call { method: parts.method.to_string(), path: parts.uri.path().to_owned(), body, peer };
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (status, text) = commands.answer(&call, authorization);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str) -> Call {
        Call { method: "PUT".to_owned(), path: path.to_owned(), body: "x".to_owned(), peer: "me".to_owned() }
    }

    #[test]
    fn only_who_knows_the_token_is_let_in() {
        let commands = Commands::default();
        commands.register("/feeds/", Secret::new("t0ken"), "live.admin_token", |call| (200, call.body.clone()));
        commands.register("/open/", Secret::default(), "open.token", |_| (200, String::new()));
        let status = |path: &str, authorization| commands.answer(&call(path), authorization).0;
        assert_eq!(commands.answer(&call("/feeds/a"), Some("Bearer t0ken")), (200, "x".to_owned()));
        for wrong in
            [None, Some("Bearer "), Some("Bearer t0keN"), Some("Bearer t0ken2"), Some("t0ken"), Some("Basic t0ken")]
        {
            assert_eq!(status("/feeds/a", wrong), 401, "{wrong:?}");
        }
        assert_eq!(status("/open/a", Some("Bearer ")), 403, "no token is not the empty token");
        assert!(commands.answer(&call("/open/a"), None).1.contains("set `open.token`"));
        assert_eq!(status("/else", Some("Bearer t0ken")), 404);
    }
}
