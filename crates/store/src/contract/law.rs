//! The law: whatever is asked in whatever order, a store answers like a list of events.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use roundtable_protocol::event::redacted_body;
use roundtable_protocol::{EventId, Rev, Seq, Stream};

use super::Log;
use crate::Store;
use crate::types::{AppendError, Commit, StoredEvent};

/// One commit to be tried, by numbers that are made to fit when its turn comes.
#[derive(Clone, Debug)]
struct Plan {
    /// For each event: its stream and how long its text is.
    events: Vec<(u8, u16)>,
    fault: Fault,
    /// Which of the events so far to redact, counted over all streams; modulo their number.
    redactions: Vec<usize>,
    /// How to read afterwards: after which rev or seq, how many, how many bytes; modulo what there is.
    reading: (usize, usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    StaleRev,
    StaleRights,
    /// The last event has a wrong seq.
    Gap,
    /// The last event bears the id of an earlier one, modulo their number.
    Duplicate(usize),
}

/// What the list knows of one event.
struct Known {
    event: StoredEvent,
    is_redacted: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let fault = prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::StaleRev),
        1 => Just(Fault::StaleRights),
        1 => Just(Fault::Gap),
        1 => any::<usize>().prop_map(Fault::Duplicate),
    ];
    let length = prop_oneof![8 => 0_u16..200, 1 => 3_000_u16..9_000];
    let events = prop::collection::vec((0_u8..4, length), 0..6);
    let redactions = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(any::<usize>(), 1..3)];
    let reading = (any::<usize>(), 0_usize..12, 0_usize..3_000);
    (events, fault, redactions, reading).prop_map(|(events, fault, redactions, reading)| Plan {
        events,
        fault,
        redactions,
        reading,
    })
}

/// Tries random plans, each on a session of its own.
pub async fn random_commits_agree_with_a_model(store: &dyn Store) {
    // proptest calls a plain function; the plans are drawn first, so that the store can be awaited.
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let strategy = prop::collection::vec(plan(), 1..20);
    for _ in 0..24 {
        let plans = strategy.new_tree(&mut runner).expect("a plan can be drawn").current();
        follow(store, &plans).await;
    }
}

async fn follow(store: &dyn Store, plans: &[Plan]) {
    let mut log = Log::unborn(store);
    let mut known: Vec<Known> = Vec::new();
    for (n, plan) in plans.iter().enumerate() {
        let commit = make(&log, plan, &known);
        let expected = judge(&log, &commit, &known);
        let written = commit.clone();
        let answer = log.append(commit).await;
        assert_eq!(answer.as_ref().map(|appended| appended.rev), expected.as_ref().copied(), "step {n} of {plans:#?}");
        if answer.is_ok() {
            record(&mut known, &written, log.rev);
        }
        compare(store, &log, &known, plan.reading).await;
    }
}

fn make(log: &Log<'_>, plan: &Plan, known: &[Known]) -> Commit {
    let texts: Vec<String> = plan.events.iter().map(|(_, length)| "x".repeat(usize::from(*length))).collect();
    let stream = |n: u8| Stream::from_number(n).expect("0 to 3");
    let said: Vec<_> = plan.events.iter().zip(&texts).map(|((n, _), text)| (stream(*n), text.as_str())).collect();
    let mut commit = log.commit(&said);
    match (plan.fault, commit.events.last_mut()) {
        (Fault::StaleRev, _) => commit.expected_rev = Rev(commit.expected_rev.0 + 1),
        (Fault::StaleRights, _) => commit.expected_rights += 1,
        (Fault::Gap, Some(last)) => last.seq = last.seq.next(),
        (Fault::Duplicate(n), Some(last)) if !known.is_empty() => last.id = known[n % known.len()].event.id,
        _ => {}
    }
    let there: Vec<_> = known.iter().map(|known| (known.event.stream, known.event.seq)).collect();
    let here = commit.events.iter().map(|event| (event.stream, event.seq));
    let places: Vec<_> = there.into_iter().chain(here).collect();
    if !places.is_empty() {
        commit.redactions = plan.redactions.iter().map(|n| places[n % places.len()]).collect();
    }
    commit
}

/// Says what the answer must be.
fn judge(log: &Log<'_>, commit: &Commit, known: &[Known]) -> Result<Rev, AppendError> {
    let conflict = Err(AppendError::Conflict { actual: log.rev });
    if commit.expected_rev != log.rev {
        return conflict;
    }
    if commit.expected_rights != 0 {
        return Err(AppendError::RightsMoved { actual: 0 });
    }
    let mut heads = log.heads;
    for event in &commit.events {
        heads[event.stream as usize] = heads[event.stream as usize].next();
        if event.seq != heads[event.stream as usize] {
            return conflict;
        }
    }
    let mut taken: HashMap<EventId, (Stream, Seq)> =
        known.iter().map(|known| (known.event.id, (known.event.stream, known.event.seq))).collect();
    for event in &commit.events {
        if let Some((stream, seq)) = taken.insert(event.id, (event.stream, event.seq)) {
            return Err(AppendError::Duplicate { id: event.id, stream, seq });
        }
    }
    Ok(log.rev.next())
}

fn record(known: &mut Vec<Known>, commit: &Commit, rev: Rev) {
    for event in &commit.events {
        let (stream, seq, header, body) = (event.stream, event.seq, event.header.clone(), event.body.clone());
        known.push(Known { event: StoredEvent { stream, seq, rev, id: event.id, header, body }, is_redacted: false });
    }
    for known in known.iter_mut() {
        if commit.redactions.contains(&(known.event.stream, known.event.seq)) && !known.is_redacted {
            known.is_redacted = true;
            known.event.body = Bytes::from(redacted_body(&known.event.body));
        }
    }
}

async fn compare(store: &dyn Store, log: &Log<'_>, known: &[Known], (after, limit, max_bytes): (usize, usize, usize)) {
    let head = store.head(log.session).await.expect("reads");
    assert_eq!(head.map(|head| (head.rev, head.heads)), (log.rev > Rev::ZERO).then_some((log.rev, log.heads)));
    let after = (after % (known.len() + 2)) as u64;
    for stream in Stream::ALL {
        let mut size = 0;
        let expected: Vec<_> = known
            .iter()
            .map(|known| &known.event)
            .filter(|event| event.stream == stream && event.seq.0 > after)
            .take(limit)
            .enumerate()
            .take_while(|(n, event)| {
                size += event.header.len() + event.body.len();
                *n == 0 || size <= max_bytes
            })
            .map(|(_, event)| event.clone())
            .collect();
        assert_eq!(store.read(log.session, stream, Seq(after), limit, max_bytes).await, Ok(expected));
    }
    let mut expected: Vec<StoredEvent> = Vec::new();
    for known in known.iter().filter(|known| known.event.rev.0 > after) {
        if expected.len() >= limit.max(1) && expected.last().is_some_and(|last| last.rev != known.event.rev) {
            break;
        }
        expected.push(known.event.clone());
    }
    assert_eq!(store.read_commits(log.session, Rev(after), limit).await, Ok(expected));
    if let Some(known) = known.get(limit) {
        let found = store.find(log.session, known.event.id).await.expect("reads").expect("there");
        assert_eq!(found.event, known.event);
    }
    let verification = store.verify(log.session).await.expect("verifies");
    let redacted = known.iter().filter(|known| known.is_redacted).count() as u64;
    assert_eq!((verification.events, verification.redacted), (known.len() as u64, redacted));
    assert_eq!(verification.broken, []);
}
