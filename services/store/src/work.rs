//! What takes long: asking the chain for the place, making objects, storing them. Each piece is a task whose report
//! comes back to the loop over a channel, so that reading goes on meanwhile.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures::FutureExt;
use lake::{Adoption, Bucket, Chain, ChainError, Claim, Encoded, Feed, Log, Next, Paths, Sealed, Source, Stored};
use streams::TopicPartition;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::broker::Broker;
use crate::observe::Observer;

/// Between two attempts while the brokers do not answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Objects are made of two ranges at a time, whatever the number of partitions: each takes memory beside that of the rows.
static ENCODING: Semaphore = Semaphore::const_new(2);

/// A piece of work, tried again while its trouble may pass.
#[allow(clippy::large_enum_variant)] // One or two per partition: nothing to save.
enum Job<B> {
    /// Find the place in the chain of what the topic's name stands for now.
    Locate {
        tools: Tools<B>,
        partition: TopicPartition,
        feed: Feed,
    },
    /// Look how far the chain of another member's partition reaches.
    Look {
        tools: Tools<B>,
        partition: TopicPartition,
    },
    Store {
        chain: Chain<B, Broker>,
        goods: Goods,
        observer: Observer,
    },
    /// Everything of an adopted claim's range that Kafka has was read.
    Adopt {
        chain: Chain<B, Broker>,
        broker: Broker,
        adoption: Option<Adoption>,
        goods: Goods,
    },
}

pub(crate) enum Outcome<B> {
    Located {
        chain: Chain<B, Broker>,
        resume: Resume,
    },
    /// The range is in the lake.
    Stored(Receipt),
    /// Another writer has this start: everything read from it on is void.
    Beaten,
    /// The adopted claim is finished.
    Adopted(Receipt),
    /// Everything below this offset is in the lake.
    Reaches(i64),
}

/// How a partition is to go on.
pub(crate) enum Resume {
    Read {
        from: i64,
    },
    /// Read from here into the adoption.
    Adopt {
        from: i64,
        adoption: Box<Adoption>,
    },
}

/// What one piece of work added to the lake.
pub(crate) struct Receipt {
    pub(crate) claim: Claim,
    pub(crate) objects: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// No assignment has this number.
pub(crate) const OTHERS: u64 = 0;

pub(crate) struct Report<B> {
    pub(crate) partition: TopicPartition,
    /// Of the assignment that the work was for: a report for an earlier one is void. [`OTHERS`] for partitions of others.
    pub(crate) epoch: u64,
    pub(crate) outcome: Result<Outcome<B>, ChainError>,
}

/// A task that ends when nobody waits for it any more. Ending it anywhere is safe: it is a crash to the protocol.
pub(crate) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
pub(crate) struct Tools<B> {
    pub(crate) bucket: B,
    pub(crate) broker: Broker,
    pub(crate) paths: Paths,
    /// Unique to this run of this process.
    pub(crate) writer: String,
    pub(crate) observer: Observer,
}

pub(crate) struct Workers<B> {
    runtime: Handle,
    pub(crate) tools: Tools<B>,
    sender: Sender<Report<B>>,
    reports: Receiver<Report<B>>,
}

impl<B: Bucket> Workers<B> {
    pub(crate) fn new(runtime: Handle, tools: Tools<B>) -> Self {
        let (sender, reports) = channel();
        Self { runtime, tools, sender, reports }
    }

    pub(crate) fn locate(&self, partition: &TopicPartition, epoch: u64, feed: Feed) -> Task {
        let job = Job::Locate { tools: self.tools.clone(), partition: partition.clone(), feed };
        self.spawn(partition, epoch, job)
    }

    pub(crate) fn look(&self, partition: &TopicPartition) -> Task {
        self.spawn(partition, OTHERS, Job::Look { tools: self.tools.clone(), partition: partition.clone() })
    }

    pub(crate) fn store(
        &self,
        partition: &TopicPartition,
        epoch: u64,
        chain: Chain<B, Broker>,
        sealed: Sealed,
    ) -> Task {
        let job = Job::Store { chain, goods: Goods::Raw(sealed), observer: self.tools.observer.clone() };
        self.spawn(partition, epoch, job)
    }

    pub(crate) fn adopt(
        &self,
        partition: &TopicPartition,
        epoch: u64,
        chain: Chain<B, Broker>,
        adoption: Adoption,
    ) -> Task {
        let broker = self.tools.broker.clone();
        self.spawn(partition, epoch, Job::Adopt { chain, broker, adoption: Some(adoption), goods: Goods::None })
    }

    /// The next report, waiting up to `timeout` for it.
    pub(crate) fn report(&self, timeout: Duration) -> Option<Report<B>> {
        self.reports.recv_timeout(timeout).ok()
    }

    fn spawn(&self, partition: &TopicPartition, epoch: u64, mut job: Job<B>) -> Task {
        let (sender, observer, partition) = (self.sender.clone(), self.tools.observer.clone(), partition.clone());
        let task = self.runtime.spawn(async move {
            let outcome = loop {
                // A panic must be told: the loop waits for the report.
                let attempt = AssertUnwindSafe(job.attempt()).catch_unwind().await;
                match attempt.unwrap_or_else(|panic| Err(panicked(&partition, &*panic))) {
                    Err(error) if error.is_transient() => observer.waiting(&partition, &error),
                    outcome => break outcome,
                }
                tokio::time::sleep(ASK_AGAIN).await;
            };
            // Nobody listens once the loop has ended.
            let _ = sender.send(Report { partition, epoch, outcome });
        });
        Task(task.abort_handle())
    }
}

impl<B: Bucket> Job<B> {
    async fn attempt(&mut self) -> Result<Outcome<B>, ChainError> {
        match self {
            Job::Locate { tools, partition, feed } => locate(tools, partition, *feed).await,
            Job::Look { tools, partition } => Ok(Outcome::Reaches(chain(tools, partition).await?.reaches().await?)),
            Job::Store { chain, goods, observer } => {
                let timer = observer.flush_seconds.start_timer();
                let encoded = goods.encoded().await?;
                let stored = chain.store(encoded).await?;
                timer.observe_duration();
                match stored {
                    Stored::Done => Ok(Outcome::Stored(Receipt::of(encoded))),
                    Stored::Beaten => Ok(Outcome::Beaten),
                }
            }
            Job::Adopt { chain, broker, adoption, goods } => {
                // Asked after reading: what is missing from the reading must lie below it.
                let (low, _) = broker.watermarks(chain.source()).await?;
                chain.confirm_topic().await?;
                if let Some(adoption) = adoption.take() {
                    *goods = Goods::Raw(adoption.finish(low)?);
                }
                let encoded = goods.encoded().await?;
                chain.complete(encoded).await?;
                Ok(Outcome::Adopted(Receipt::of(encoded)))
            }
        }
    }
}

/// The chain of what the topic's name stands for now.
async fn chain<B: Bucket>(tools: &Tools<B>, partition: &TopicPartition) -> Result<Chain<B, Broker>, ChainError> {
    let Tools { bucket, broker, paths, writer, .. } = tools.clone();
    let topic_id = broker.topic_id(&partition.topic).await?;
    let source = Source::new(&*partition.topic, topic_id, partition.partition);
    Ok(Chain::new(bucket, broker, paths, source, writer))
}

async fn locate<B: Bucket>(tools: &Tools<B>, partition: &TopicPartition, feed: Feed) -> Result<Outcome<B>, ChainError> {
    let chain = chain(tools, partition).await?;
    let resume = match chain.locate().await? {
        Next::Read { from } => Resume::Read { from },
        Next::Adopt { claim, missing } => {
            let adoption = Box::new(Adoption::new(*claim, feed, &missing));
            // What retention took in the meantime cannot be asked for.
            let (low, _) = tools.broker.watermarks(chain.source()).await?;
            Resume::Adopt { from: adoption.start().max(low), adoption }
        }
    };
    Ok(Outcome::Located { chain, resume })
}

/// Rows on their way to bytes. Making the bytes is long work and done once, whatever happens to the storing.
enum Goods {
    None,
    Raw(Sealed),
    Ready(Encoded),
}

impl Goods {
    async fn encoded(&mut self) -> Result<&Encoded, ChainError> {
        if let Goods::Raw(_) = self
            && let Goods::Raw(sealed) = std::mem::replace(self, Goods::None)
        {
            let source_partition = format!("{}[{}]", sealed.claim.topic, sealed.claim.partition);
            let _turn = ENCODING.acquire().await.expect("it is never closed");
            let encoded = tokio::task::spawn_blocking(move || sealed.encode()).await;
            let encoded = encoded.map_err(|error| ChainError::Panicked { source_partition, why: error.to_string() })?;
            *self = Goods::Ready(encoded);
        }
        match self {
            Goods::Ready(encoded) => Ok(encoded),
            Goods::None | Goods::Raw(_) => unreachable!("a failed encoding ends the job"),
        }
    }
}

impl Receipt {
    fn of(encoded: &Encoded) -> Self {
        let size = encoded.size();
        Self { claim: encoded.claim.clone(), objects: size.objects, rows: size.rows, bytes: size.bytes }
    }
}

fn panicked(partition: &TopicPartition, panic: &(dyn std::any::Any + Send)) -> ChainError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let why = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned());
    ChainError::Panicked { source_partition: partition.to_string(), why }
}
