//! Deleting, for [`crate::expire`] alone.

use super::{Right, S3};
use crate::bucket::BucketError;
use crate::expire::Delete;

impl Delete for S3 {
    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        match self.client.delete_object().bucket(&self.bucket).key(key).send().await {
            Ok(_) => Ok(()),
            // S3 calls a missing object deleted; some other stores do not.
            Err(error) if super::status(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.failed("delete", key, Right::Delete, &error)),
        }
    }
}
