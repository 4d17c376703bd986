use std::collections::BTreeMap;

use roundtable_protocol::frame::{Head, Snapshot};
use roundtable_protocol::{Stream, View};

use super::*;

const SESSION: SessionId = SessionId::NIL;

fn both() -> StreamSet {
    [Stream::Main, Stream::Side].into_iter().collect()
}

fn outbox() -> Arc<Outbox> {
    let outbox = Outbox::new(ConnectionId::NIL);
    outbox.open(SESSION, both(), [Seq::ZERO; 4]).expect("a place");
    outbox
}

fn events(stream: Stream, seq: u64) -> Frame {
    Frame::events_of(SESSION, stream, Seq(seq), Seq(seq), std::iter::once(&b"{}"[..]))
}

fn snapshot() -> Frame {
    let at: BTreeMap<_, _> = both().iter().map(|s| (s, Seq(1))).collect();
    Frame::encode(&ServerFrame::Snapshot(Snapshot { session_id: SESSION, at, head: View::default() }))
}

fn kinds(outbox: &Outbox) -> Vec<&'static str> {
    let mut frames = Vec::new();
    while outbox.try_take(&mut frames) {}
    frames.iter().map(Frame::kind).collect()
}

#[test]
fn history_of_a_stream_that_was_lost_meanwhile_is_not_sent() {
    let outbox = outbox();
    outbox.restrict(SESSION, StreamSet::EMPTY.with(Stream::Main));
    assert_eq!(outbox.offer(events(Stream::Side, 1)), Pushed::Waits);
    assert_eq!(outbox.offer(events(Stream::Main, 1)), Pushed::Waits);
    assert_eq!(kinds(&outbox), ["events"]);
}

#[test]
fn a_snapshot_with_a_lost_stream_in_it_makes_the_reader_start_again() {
    let queued = outbox();
    queued.offer(snapshot());
    queued.restrict(SESSION, StreamSet::EMPTY.with(Stream::Main));
    assert_eq!(kinds(&queued), ["lagging"]);
    let late = outbox();
    late.restrict(SESSION, StreamSet::EMPTY.with(Stream::Main));
    assert_eq!(late.offer(snapshot()), Pushed::Gone);
    assert_eq!(kinds(&late), ["lagging"]);
}

#[test]
fn a_backlog_above_its_bounds_takes_the_heaviest_subscription_and_no_other() {
    let outbox = outbox();
    let light = SessionId::derive(uuid::Uuid::from_u128(7), 0);
    outbox.open(light, both(), [Seq::ZERO; 4]).expect("a place");
    let streams = BTreeMap::from([(Stream::Main, Seq(5))]);
    outbox.offer(Frame::encode(&ServerFrame::Head(Head { session_id: light, streams })));
    let full = (1..).map(|seq| outbox.offer(events(Stream::Main, seq))).take_while(|p| *p == Pushed::Waits).count();
    assert_eq!(full, BACKLOG_FRAMES - 1, "one place is the other session's");
    assert_eq!(kinds(&outbox), ["head", "lagging", "lagging"]);
    assert_eq!(outbox.offer(events(Stream::Main, 9_999)), Pushed::Gone, "nothing is skipped silently");
}

#[test]
fn the_gate_opens_when_the_refused_key_returns() {
    let outbox = outbox();
    let keys: Vec<_> = (0..3u128).map(uuid::Uuid::from_u128).collect();
    let first = outbox.submit(SESSION, keys[0], 32).expect("open");
    let second = outbox.submit(SESSION, keys[1], 32).expect("open");
    outbox.close_gate(SESSION, first, keys[0]);
    assert!(outbox.is_gated(SESSION, second) && !outbox.is_gated(SESSION, first));
    assert_eq!(outbox.submit(SESSION, keys[2], 32), Err(Refused::RetryInOrder));
    assert!(outbox.submit(SESSION, keys[0], 32).is_ok());
    assert!(outbox.submit(SESSION, keys[2], 32).is_ok());
}

#[test]
fn nothing_overtakes_a_command_that_found_the_window_full() {
    let outbox = outbox();
    let keys: Vec<_> = (0..3u128).map(uuid::Uuid::from_u128).collect();
    outbox.submit(SESSION, keys[0], 1).expect("open");
    assert_eq!(outbox.submit(SESSION, keys[1], 1), Err(Refused::WindowFull));
    outbox.answered(SESSION);
    assert_eq!(outbox.submit(SESSION, keys[2], 1), Err(Refused::RetryInOrder));
    assert!(outbox.submit(SESSION, keys[1], 1).is_ok());
}

#[test]
fn a_session_of_which_nothing_is_open_is_forgotten() {
    let outbox = outbox();
    let sessions =
        || (0..10_000u128).map(|n| (SessionId::derive(uuid::Uuid::from_u128(n), 0), uuid::Uuid::from_u128(n)));
    for (session, key) in sessions() {
        let order = outbox.submit(session, key, 32).expect("a place");
        outbox.answered(session);
        outbox.close_gate(session, order, key);
        assert!(!outbox.is_gated(session, order + 1), "nothing is remembered of what is not there");
    }
    assert_eq!(outbox.sessions(), [SESSION]);
    outbox.shut(SESSION);
    assert_eq!(outbox.sessions(), []);
    assert_eq!(outbox.offer(events(Stream::Main, 1)), Pushed::Gone, "a late frame of an ended subscription");
}

#[test]
fn a_connection_has_to_do_with_so_many_sessions_and_no_more() {
    let outbox = outbox();
    let key = uuid::Uuid::from_u128;
    let others = (0..10_000u128).map(|n| SessionId::derive(key(n), 0));
    let held = others.clone().filter(|session| outbox.hold(*session, key(1)).is_ok()).count();
    assert_eq!((held, outbox.sessions().len()), (MAX_SESSIONS - 1, MAX_SESSIONS));
    let late = SessionId::derive(key(20_000), 0);
    assert_eq!(outbox.hold(late, key(2)), Err(Refused::TooManySessions));
    assert_eq!(outbox.submit(late, key(2), 32), Err(Refused::TooManySessions));
    assert!(outbox.open(late, both(), [Seq::ZERO; 4]).is_err_and(|p| p.code == Code::TooManySessions && !p.retryable));
    let first = others.clone().next().expect("one");
    outbox.submit(first, key(1), 32).expect("the key that is waited for has come back");
    outbox.answered(first);
    assert!(outbox.submit(late, key(2), 32).is_ok(), "one place is free again");
}

#[test]
fn a_closed_outbox_takes_no_subscription_whose_end_nobody_would_tell() {
    let outbox = Outbox::new(ConnectionId::NIL);
    outbox.close();
    assert!(outbox.open(SESSION, both(), [Seq::ZERO; 4]).is_err());
    assert_eq!(outbox.sessions(), []);
}

/// A socket that takes so many bytes and no more.
struct Pipe(Mutex<(Vec<u8>, usize)>);

impl Wire for Pipe {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> std::io::Result<usize> {
        let (written, room) = &mut *self.0.lock().expect("one thread");
        let before = written.len();
        for piece in pieces {
            let n = piece.len().min(*room);
            written.extend_from_slice(&piece[..n]);
            *room -= n;
        }
        if written.len() == before {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        Ok(written.len() - before)
    }
}

#[test]
fn what_a_socket_takes_in_pieces_arrives_whole_and_in_order() {
    // Less than a frame, about a frame, several frames, more than the frames of one write.
    for room in [7, 130, 1_000, 100_000] {
        let (outbox, pipe) = (outbox(), Arc::new(Pipe(Mutex::new((Vec::new(), 10)))));
        outbox.attach(pipe.clone());
        let mut expected = Vec::new();
        for seq in 1..=50 {
            let frame = events(Stream::Main, seq);
            expected.extend_from_slice(frame.framed(false));
            outbox.offer(frame);
        }
        let mut tries = 0;
        while outbox.write_out() != WrittenOut::All {
            pipe.0.lock().expect("one thread").1 = room;
            tries += 1;
            assert!(tries <= expected.len() / room + 1, "{room}");
        }
        assert_eq!(pipe.0.lock().expect("one thread").0, expected, "{room}");
    }
}

#[tokio::test]
async fn a_closed_outbox_hands_out_what_it_has_and_ends() {
    let outbox = outbox();
    outbox.offer(events(Stream::Main, 1));
    outbox.close();
    let mut frames = Vec::new();
    assert!(outbox.take(&mut frames).await);
    assert!(!outbox.take(&mut frames).await);
    assert_eq!(outbox.offer(events(Stream::Main, 2)), Pushed::Gone);
}
