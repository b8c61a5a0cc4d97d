//! Deleting, for [`crate::expire`] alone.

use super::{Right, S3};
use crate::bucket::BucketError;
use crate::expire::Delete;

impl Delete for S3 {
    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key).set_request_payer(self.payer.clone());
        match request.send().await {
            Ok(_) => Ok(()),
            // S3 calls a missing object deleted; some other stores do not.
            Err(error) if super::status(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.failed("delete", key, Right::Delete, &error)),
        }
    }
}
