//! What can go wrong with an object store, told so that a person knows what to do.

use thiserror::Error;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{action}: {why}{}", trouble.advice())]
pub struct BucketError {
    pub trouble: Trouble,
    /// What was tried, on what, where: `put s3://finflow/trades/… at http://127.0.0.1:9000`.
    pub action: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No answer: refused, reset, timed out. The request may still have been, or still be, carried out.
    Unreachable,
    /// 429, 503: the store wants fewer requests.
    Busy,
    /// Another 5xx. The request may have been carried out.
    Failed,
    /// 409: a conditional write met another one under way.
    Conflict,
    /// The secret does not fit the key, or the key is unknown, or a token is out of date.
    WrongKeys,
    /// STS, which gives the keys of a role, cannot be asked just now.
    KeysAway,
    /// The request is signed for a time that is not the store's: too far from it, it is refused.
    ClockOff,
    /// The keys are right but may not do this.
    Denied,
    NoBucket,
    WrongRegion,
    /// The store answers something that no S3 would.
    NotS3,
}

impl Trouble {
    pub const ALL: [Trouble; 11] = [
        Trouble::Unreachable,
        Trouble::Busy,
        Trouble::Failed,
        Trouble::Conflict,
        Trouble::WrongKeys,
        Trouble::KeysAway,
        Trouble::ClockOff,
        Trouble::Denied,
        Trouble::NoBucket,
        Trouble::WrongRegion,
        Trouble::NotS3,
    ];

    /// The label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Trouble::Unreachable => "unreachable",
            Trouble::Busy => "busy",
            Trouble::Failed => "failed",
            Trouble::Conflict => "conflict",
            Trouble::WrongKeys => "wrong_keys",
            Trouble::KeysAway => "keys_away",
            Trouble::ClockOff => "clock_off",
            Trouble::Denied => "denied",
            Trouble::NoBucket => "no_bucket",
            Trouble::WrongRegion => "wrong_region",
            Trouble::NotS3 => "not_s3",
        }
    }

    /// Whether the same request may succeed later without anybody doing anything to this program or the store. A clock is
    /// mended by NTP.
    pub fn is_transient(self) -> bool {
        match self {
            Trouble::Unreachable | Trouble::Busy | Trouble::Failed | Trouble::Conflict => true,
            Trouble::KeysAway | Trouble::ClockOff => true,
            Trouble::WrongKeys | Trouble::Denied | Trouble::NoBucket | Trouble::WrongRegion | Trouble::NotS3 => false,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Trouble::Unreachable => "; is the endpoint right, and is the store up?",
            Trouble::Busy | Trouble::Failed | Trouble::Conflict => "",
            Trouble::WrongKeys => "; check the access key and the secret key (or the role of the pod)",
            Trouble::KeysAway => {
                "; is it up, and may this machine reach it (DNS, network policy, `AWS_ENDPOINT_URL_STS`)? it is asked again"
            }
            Trouble::ClockOff => {
                "; the clock of this machine is off: let NTP set it (`timedatectl set-ntp true`, `chronyc makestep`), \
                 then the work goes on by itself"
            }
            Trouble::Denied => {
                "; allow it in the policy of the keys (or of the role of the pod), and let no policy of the bucket deny it"
            }
            Trouble::NoBucket => "; create the bucket, or correct its name",
            Trouble::WrongRegion => "; set the region that the bucket is in",
            Trouble::NotS3 => "; is the endpoint that of an S3 store?",
        }
    }
}

impl BucketError {
    pub fn is_transient(&self) -> bool {
        self.trouble.is_transient()
    }
}
