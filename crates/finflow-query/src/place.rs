//! Where the objects lie: the folder of the embedded S3, or an S3.

use anyhow::Context as _;
use futures::TryStreamExt;
use lake::{S3, S3Config};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::Args;

#[derive(Debug)]
pub(crate) enum Place {
    /// The embedded server keeps objects as plain files, so they can be read while it runs, too.
    Folder(LocalFileSystem),
    S3(Box<S3>),
}

impl Place {
    pub(crate) async fn open(args: &Args) -> anyhow::Result<Self> {
        let mut config = S3Config { bucket: args.bucket.clone(), ..S3Config::default() };
        match (&args.s3_endpoint, &args.region) {
            (Some(endpoint), _) => config.endpoint.clone_from(endpoint),
            (None, Some(region)) => {
                config.region.clone_from(region);
                config.path_style = false;
            }
            (None, None) => {
                let dir = args.state.join("s3").join(&args.bucket);
                let files = LocalFileSystem::new_with_prefix(&dir).with_context(|| {
                    format!(
                        "{} is no lake: name its state folder with --state, or its S3 with --s3-endpoint",
                        dir.display()
                    )
                })?;
                return Ok(Place::Folder(files));
            }
        }
        config.validate().map_err(anyhow::Error::msg)?;
        Ok(Place::S3(Box::new(S3::connect(&config).await)))
    }

    /// Every object below a folder.
    pub(crate) async fn list(&self, folder: &str) -> anyhow::Result<Vec<ObjectMeta>> {
        let s3 = match self {
            Place::Folder(files) => return Ok(files.list(Some(&Path::parse(folder)?)).try_collect().await?),
            Place::S3(s3) => s3,
        };
        let meta = |listed: lake::Listed| {
            let location = Path::parse(&listed.key).with_context(|| format!("read the key {}", listed.key))?;
            let (last_modified, e_tag, version) = (Default::default(), None, None);
            Ok(ObjectMeta { location, last_modified, size: listed.size_bytes, e_tag, version })
        };
        s3.list_sized(folder).await?.into_iter().map(meta).collect()
    }
}
