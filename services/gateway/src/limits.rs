//! What one client may take: requests per second, connections, streams. Pure: time comes as an argument.
//!
//! A client is an IPv4 address or an IPv6 /64, since anybody with an IPv6 connection has 2^64 addresses to come from.
//! The tables are bounded; who comes when they are full of busy clients shares one bucket with the others that do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients remembered at once: about 64 bytes each.
const CLIENTS: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Client(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            v4 => Client(v4),
        }
    }
}

/// A token bucket per client.
pub(crate) struct Buckets {
    per_second: f64,
    burst: f64,
    clients: HashMap<Client, Bucket>,
    overflow: Bucket,
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Buckets {
            per_second: f64::from(per_second.max(1)),
            burst,
            clients: HashMap::new(),
            overflow: Bucket { tokens: burst, at: now },
            swept: None,
        }
    }

    /// Takes one request's worth, or says how long to wait for it.
    pub(crate) fn take(&mut self, client: Client, now: Instant) -> Result<(), Duration> {
        if self.clients.len() >= CLIENTS && !self.clients.contains_key(&client) {
            self.sweep(now);
        }
        let (burst, per_second) = (self.burst, self.per_second);
        let full = self.clients.len() >= CLIENTS && !self.clients.contains_key(&client);
        let bucket = match full {
            true => &mut self.overflow,
            false => self.clients.entry(client).or_insert(Bucket { tokens: burst, at: now }),
        };
        bucket.refill(burst, per_second, now);
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second))
    }

    /// Forgets who has been away long enough to have a full bucket. At most once a second, as it looks at them all.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|at| now.saturating_duration_since(at) < Duration::from_secs(1)) {
            return;
        }
        self.swept = Some(now);
        let (burst, per_second) = (self.burst, self.per_second);
        self.clients.retain(|_, bucket| {
            bucket.refill(burst, per_second, now);
            bucket.tokens < burst
        });
    }
}

impl Bucket {
    fn refill(&mut self, burst: f64, per_second: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * per_second).min(burst);
        self.at = now;
    }
}

/// A bounded number of things held at once, in all and per client. Clones share the count.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Mutex<Held>>);

struct Held {
    limit: usize,
    per_client: usize,
    total: usize,
    clients: HashMap<Client, usize>,
}

/// Which of the two limits was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    Client,
}

/// One of the things; dropping it gives it back.
pub(crate) struct Slot {
    slots: Slots,
    client: Client,
}

impl Slots {
    pub(crate) fn new(limit: usize, per_client: usize) -> Self {
        Slots(Arc::new(Mutex::new(Held { limit, per_client, total: 0, clients: HashMap::new() })))
    }

    pub(crate) fn take(&self, client: Client) -> Result<Slot, Full> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.total >= held.limit {
            return Err(Full::All);
        }
        let per_client = held.per_client;
        let count = held.clients.entry(client).or_insert(0);
        if *count >= per_client {
            return Err(Full::Client);
        }
        *count += 1;
        held.total += 1;
        Ok(Slot { slots: self.clone(), client })
    }

    pub(crate) fn held(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.total -= 1;
        if let Some(count) = held.clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                held.clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> Client {
        Client::from(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_burst_passes_then_the_average_holds() {
        let start = Instant::now();
        let mut buckets = Buckets::new(10, 5, start);
        for _ in 0..5 {
            buckets.take(client(1), start).unwrap();
        }
        let wait = buckets.take(client(1), start).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100), "{wait:?}");
        buckets.take(client(2), start).expect("another client has its own bucket");

        let mut passed = 0;
        for ms in 1..=2000 {
            passed += usize::from(buckets.take(client(1), start + Duration::from_millis(ms)).is_ok());
        }
        assert!((19..=20).contains(&passed), "{passed} in two seconds at ten per second");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_went_away() {
        let start = Instant::now();
        let mut buckets = Buckets::new(1, 1, start);
        for n in 0..CLIENTS as u32 {
            buckets.take(client(n), start).unwrap();
        }
        buckets.take(client(1 << 20), start).expect("the shared bucket has one left");
        buckets.take(client(1 << 21), start).expect_err("and no more");
        assert_eq!(buckets.clients.len(), CLIENTS);
        buckets.take(client(1 << 22), start + Duration::from_secs(5)).expect("the others have been away");
        assert_eq!(buckets.clients.len(), 1);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let at = |text: &str| Client::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
    }

    #[test]
    fn slots_are_counted_in_all_and_per_client_and_given_back() {
        let slots = Slots::new(3, 2);
        let first = slots.take(client(1)).unwrap();
        let _second = slots.take(client(1)).unwrap();
        assert_eq!(slots.take(client(1)).err(), Some(Full::Client));
        let _third = slots.take(client(2)).unwrap();
        assert_eq!(slots.take(client(3)).err(), Some(Full::All));
        drop(first);
        assert_eq!(slots.held(), 2);
        slots.take(client(1)).unwrap();
        assert_eq!(slots.held(), 2, "a slot that is not kept is given back at once");
    }
}
