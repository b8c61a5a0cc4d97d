//! The SDK's errors as [`BucketError`]; where a right is missing, with the name that IAM has for it.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_types::date_time::{DateTime, Format};
use harness::{Clock, SystemClock};

use super::{S3, keys};
use crate::bucket::{BucketError, Trouble};

/// S3 refuses what is signed for a time farther than this from its own.
const MOST_SKEW_S: i64 = 15 * 60;

/// What IAM calls the right to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Put,
    Get,
    List,
    Delete,
    Abort,
}

impl S3 {
    /// `verb`: what was tried with this key.
    pub(super) fn failed<E>(&self, verb: &str, key: &str, right: Right, error: &SdkError<E>) -> BucketError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut failed = explain(format!("{verb} {}", self.url(key)), error);
        if failed.trouble == Trouble::Denied {
            failed.why += &format!("; it takes {}", self.right(right));
        }
        failed
    }

    fn right(&self, right: Right) -> String {
        let bucket = format!("arn:{}:s3:::{}", self.partition, self.bucket);
        let objects =
            if self.prefix.is_empty() { format!("{bucket}/*") } else { format!("{bucket}/{}/*", self.prefix) };
        match right {
            Right::Put => format!("s3:PutObject on {objects}"),
            // Who may not list is told that a missing object is forbidden.
            Right::Get => format!("s3:GetObject on {objects} and s3:ListBucket on {bucket}"),
            Right::List => format!("s3:ListBucket on {bucket}"),
            Right::Abort => format!("s3:AbortMultipartUpload on {objects}"),
            Right::Delete => format!("s3:DeleteObject on {objects}"),
        }
    }
}

/// How the names of resources begin in the part of AWS that the region belongs to.
pub(super) fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn explain<E>(action: String, error: &SdkError<E>) -> BucketError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (trouble, why) = match keys::awaited(error) {
        Some(why) => (Trouble::KeysAway, why),
        None => told(error),
    };
    BucketError { trouble, action, why }
}

/// What a service says, or why it says nothing.
pub(super) fn told<E>(error: &SdkError<E>) -> (Trouble, String)
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::TimeoutError(_) => (Trouble::Unreachable, "no answer in time".to_owned()),
        SdkError::DispatchFailure(failure) => {
            // The chain ends with what the system said: "Connection refused (os error 111)".
            let connector = failure.as_connector_error();
            let why = connector.map_or_else(|| "the request was not sent".to_owned(), |error| deepest(error));
            // No connection was tried at all where there are no keys to sign with.
            let keys = connector.is_none_or(|error| error.is_other())
                && DisplayErrorContext(error).to_string().contains("credential");
            (if keys { Trouble::WrongKeys } else { Trouble::Unreachable }, why)
        }
        SdkError::ConstructionFailure(_) => (Trouble::WrongKeys, DisplayErrorContext(error).to_string()),
        _ => answered(error),
    }
}

/// An answer came, and it was no success.
fn answered<E>(error: &SdkError<E>) -> (Trouble, String)
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    // A HEAD has no body, so only its status tells.
    let code = error.code().unwrap_or_default();
    let ahead_s = ahead_s(error);
    let trouble = match (status, code) {
        (_, "NoSuchBucket") => Trouble::NoBucket,
        (_, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "NotSignedUp" | "ExpiredToken" | "InvalidToken") => {
            Trouble::WrongKeys
        }
        (_, "RequestTimeTooSkewed" | "RequestExpired") => Trouble::ClockOff,
        (403, "") if ahead_s.is_some_and(|ahead| ahead.abs() > MOST_SKEW_S) => Trouble::ClockOff,
        (_, "SlowDown" | "ServiceUnavailable" | "Throttling" | "RequestLimitExceeded") | (429 | 503, _) => {
            Trouble::Busy
        }
        (_, "RequestTimeout") => Trouble::Unreachable,
        (301 | 307, _) | (_, "PermanentRedirect" | "AuthorizationHeaderMalformed") => Trouble::WrongRegion,
        (409, _) | (_, "ConditionalRequestConflict") => Trouble::Conflict,
        // It was ended by a rule, or by another look at it; the next attempt begins a new one.
        (_, "NoSuchUpload" | "InternalError") => Trouble::Failed,
        (401 | 403, _) => Trouble::Denied,
        // 501: the store knows the request but not what it asks for, and never will.
        (500 | 502.., _) => Trouble::Failed,
        _ => Trouble::NotS3,
    };
    let message = error.message().unwrap_or_default();
    let why = match (code, message) {
        ("", "") => format!("status {status}"),
        (code, "") => format!("status {status} {code}"),
        (code, message) => format!("status {status} {code}: {}", message.trim_end_matches('.')),
    };
    match ahead_s {
        Some(ahead) if trouble == Trouble::ClockOff => {
            let side = if ahead < 0 { "behind" } else { "ahead of" };
            (trouble, format!("{why}; this machine's clock is {} s {side} the store's", ahead.abs()))
        }
        _ => (trouble, why),
    }
}

/// Seconds that the clock of this machine is ahead of the answer's `Date`.
fn ahead_s<E>(error: &SdkError<E>) -> Option<i64> {
    let date = error.raw_response()?.headers().get("date")?;
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    Some(SystemClock.now_ns() / 1_000_000_000 - date.secs())
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
