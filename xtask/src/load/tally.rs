//! Counting deliveries: how many, in which order, how late.
//!
//! Owns: the mark inside each message, the histogram, what is in flight. Must not know: sockets and servers.
//! Invariant: a message that is missing, doubled or out of order is a failure of the run, never a smaller number.

use anyhow::{Result, bail, ensure};
use memchr::memmem::Finder;
use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long every message is. Unit: bytes.
pub const TEXT_BYTES: usize = 200;
/// What stands before the time and the number in a message.
const MARK: &[u8] = b"~rt:";
/// Time and number, in hexadecimal.
const DIGITS: usize = 16 + 8;
/// Most messages that may be under way at once.
const RING: usize = 1 << 14;

/// Returns the time since the tool started. Unit: nanoseconds.
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a message of 200 bytes that says when it was sent and which one it is. No byte of it is escaped in JSON.
pub fn message(number: u64, at: u64) -> String {
    let mut text = format!("~rt:{at:016x}{:08x} ", number & 0xffff_ffff);
    // Words that compress like words, not like a run of one letter.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < TEXT_BYTES {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        text.push_str(WORDS[(state >> 40) as usize % WORDS.len()]);
        text.push(' ');
    }
    text.truncate(TEXT_BYTES);
    text
}

const WORDS: &[&str] = &[
    "the", "session", "answer", "people", "later", "could", "branch", "from", "here", "what", "was", "decided", "then",
    "and", "budget", "because", "two", "of", "them", "read", "it", "again", "before", "noon", "without", "asking",
    "anybody", "else", "so", "that", "nothing", "gets", "lost",
];

/// Finds the marks of messages in frames.
pub struct Marks(Finder<'static>);

impl Default for Marks {
    fn default() -> Self {
        Self(Finder::new(MARK))
    }
}

impl Marks {
    /// Yields when each message in `frame` was sent, and its number.
    pub fn of<'a>(&'a self, frame: &'a [u8]) -> impl Iterator<Item = (u64, u64)> + 'a {
        self.0.find_iter(frame).filter_map(|at| {
            let digits = frame.get(at + MARK.len()..at + MARK.len() + DIGITS)?;
            Some((hexadecimal(&digits[..16]), hexadecimal(&digits[16..])))
        })
    }
}

fn hexadecimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| {
        let digit = if *digit >= b'a' { digit - b'a' + 10 } else { digit.wrapping_sub(b'0') };
        value << 4 | u64::from(digit & 15)
    })
}

/// Latencies, exact to about 1.5 %.
#[derive(Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * 64], count: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        let place = match value.checked_ilog2() {
            Some(power) if power >= 6 => (power as usize - 5) * 64 + (value >> (power - 6)) as usize - 64,
            _ => value as usize,
        };
        self.buckets[place] += 1;
        self.count += 1;
    }

    /// Returns the value below which `part` of all values are.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (place, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return lower_bound(place);
            }
        }
        0
    }

    /// Returns median and 99th percentile. Unit: milliseconds.
    pub fn p50_p99_ms(&self) -> (f64, f64) {
        (self.quantile(0.5) as f64 / 1e6, self.quantile(0.99) as f64 / 1e6)
    }
}

/// The first row holds 0 to 63 one by one; each further row one power of two in 64 steps.
fn lower_bound(place: usize) -> u64 {
    let (row, column) = (place / 64, place as u64 % 64);
    if row == 0 { column } else { (64 + column) << (row - 1) }
}

/// What all receivers of one run have got.
pub struct Tally {
    receivers: u32,
    pub marks: Marks,
    deliveries: Cell<u64>,
    latencies: RefCell<Histogram>,
    sent: Cell<u64>,
    complete: Cell<u64>,
    /// Number and arrivals of the messages under way, by number.
    under_way: RefCell<Vec<(u64, u32)>>,
    failure: RefCell<Option<String>>,
    progress: Notify,
}

impl Tally {
    /// Starts counting for that many receivers.
    pub fn new(receivers: usize) -> Self {
        Self {
            receivers: u32::try_from(receivers).unwrap_or(u32::MAX),
            marks: Marks::default(),
            deliveries: Cell::new(0),
            latencies: RefCell::default(),
            sent: Cell::new(0),
            complete: Cell::new(0),
            under_way: RefCell::new(vec![(0, 0); RING]),
            failure: RefCell::default(),
            progress: Notify::new(),
        }
    }

    /// Makes the next message; it counts as under way from now on.
    pub fn next(&self) -> String {
        let number = self.sent.get() + 1;
        self.sent.set(number);
        self.under_way.borrow_mut()[number as usize % RING] = (number, 0);
        message(number, now())
    }

    /// Counts an arrival at a receiver whose last message was `last`; they come one after another or the run fails.
    pub fn arrived(&self, sent_at: u64, number: u64, last: &mut u64, at: u64) -> Result<()> {
        ensure!(number == *last + 1, "message {number} came after {last}");
        *last = number;
        self.seen(sent_at, at);
        let slot = &mut self.under_way.borrow_mut()[number as usize % RING];
        ensure!(slot.0 == number, "message {number} is not under way");
        slot.1 += 1;
        if slot.1 == self.receivers {
            self.complete.set(self.complete.get() + 1);
            self.progress.notify_one();
        }
        Ok(())
    }

    /// Counts an arrival of which neither order nor completeness is promised.
    pub fn seen(&self, sent_at: u64, at: u64) {
        self.deliveries.set(self.deliveries.get() + 1);
        self.latencies.borrow_mut().add(at.saturating_sub(sent_at));
    }

    /// Ends the run: the first failure is the one that is told.
    pub fn fail(&self, error: &anyhow::Error) {
        self.failure.borrow_mut().get_or_insert_with(|| format!("{error:#}"));
        self.progress.notify_one();
    }

    /// Returns the failure, if there was one.
    pub fn check(&self) -> Result<()> {
        match self.failure.borrow().as_ref() {
            Some(failure) => bail!("{failure}"),
            None => Ok(()),
        }
    }

    /// Returns how many messages not every receiver has yet.
    pub fn under_way(&self) -> u64 {
        self.sent.get() - self.complete.get()
    }

    /// Waits until fewer than `most` messages are under way.
    pub async fn below(&self, most: u64, patience: Duration) -> Result<()> {
        while self.under_way() >= most {
            self.check()?;
            if timeout(patience, self.progress.notified()).await.is_err() {
                bail!("{} of {} messages have not reached every receiver", self.under_way(), self.sent.get());
            }
        }
        self.check()
    }

    /// Returns how many deliveries there were so far.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.get()
    }

    /// Returns the latencies since the last call.
    pub fn take_latencies(&self) -> Histogram {
        self.latencies.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_back_from_inside_a_frame() {
        let (one, two) = (message(7, 123_456), message(0xffff, u64::MAX >> 1));
        assert_eq!((one.len(), two.len()), (TEXT_BYTES, TEXT_BYTES));
        let frame = format!(r#"{{"items":[{{"text":"{one}"}},{{"text":"{two}"}}]}}"#);
        let found: Vec<_> = Marks::default().of(frame.as_bytes()).collect();
        assert_eq!(found, [(123_456, 7), (u64::MAX >> 1, 0xffff)]);
    }

    #[test]
    fn a_message_that_is_skipped_doubled_or_swapped_fails_the_run() {
        for numbers in [&[1, 3][..], &[1, 1], &[2, 1], &[1, 2, 2]] {
            let tally = Tally::new(1);
            (0..3).for_each(|_| drop(tally.next()));
            let mut last = 0;
            let failed = numbers.iter().any(|n| tally.arrived(0, *n, &mut last, 1).is_err());
            assert!(failed, "{numbers:?}");
        }
    }

    #[test]
    fn a_message_is_complete_when_every_receiver_has_it() {
        let tally = Tally::new(2);
        drop(tally.next());
        let (mut ana, mut ben) = (0, 0);
        tally.arrived(0, 1, &mut ana, 5).expect("in order");
        assert_eq!((tally.under_way(), tally.deliveries()), (1, 1));
        tally.arrived(0, 1, &mut ben, 5).expect("in order");
        assert_eq!((tally.under_way(), tally.deliveries()), (0, 2));
    }

    #[test]
    fn quantiles_are_exact_to_two_percent() {
        let mut histogram = Histogram::default();
        (1..=100_000_u64).for_each(|value| histogram.add(value * 1_000));
        for (part, exact) in [(0.01, 1e6), (0.5, 5e7), (0.99, 9.9e7), (1.0, 1e8)] {
            let value = histogram.quantile(part) as f64;
            assert!((value / exact - 1.0).abs() < 0.02, "{part}: {value} for {exact}");
        }
        let mut small = Histogram::default();
        small.add(3);
        assert_eq!(small.quantile(0.5), 3);
    }
}
