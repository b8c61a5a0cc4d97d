//! Why there are no keys to sign with: nobody gives any, or whoever gives them cannot be asked just now.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::SdkError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use super::error::told;

/// What STS said, or did not, in the chain of an error's causes; only where the same question may be answered later. A role that
/// does not exist or may not be taken is for a person to mend.
pub(super) fn awaited(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let role = error.downcast_ref::<SdkError<AssumeRoleError>>().map(told);
        let identity = || error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError>>().map(told);
        if let Some((trouble, why)) = role.or_else(identity) {
            return trouble.is_transient().then(|| format!("STS does not give the keys: {why}"));
        }
        if let Some(CredentialsError::ProviderTimedOut(_)) = error.downcast_ref() {
            return Some("whoever gives the keys did not answer in time".to_owned());
        }
        next = error.source();
    }
    None
}
