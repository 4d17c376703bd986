//! What holds for every history, whoever tries what in which order.

use proptest::prelude::*;
use roundtable_core::Session;
use roundtable_protocol::event::{Event, redacted_body};

use crate::world::{World, session_id, tries};

fn fold<'a>(from: Session, events: impl IntoIterator<Item = &'a Event>) -> Session {
    let mut session = from;
    events.into_iter().for_each(|event| session.apply(event));
    session
}

/// Few cases in the ordinary run; `PROPTEST_CASES` asks for more. What fails becomes a named test, not a file of seeds.
fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").map(|_| ProptestConfig::default().cases);
    ProptestConfig { cases: asked.unwrap_or(128), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Each try checks its own laws; see [`World::attempt`]. Then the history is read back in every way there is.
    #[test]
    fn a_history_reads_back_as_it_was_lived(tries in tries(120), cut in any::<prop::sample::Index>()) {
        let mut world = World::new();
        for one in &tries {
            world.attempt(one);
        }
        let empty = || Session::empty(session_id());
        prop_assert_eq!(&fold(empty(), &world.log), &world.session, "replay");

        let cut = cut.index(world.log.len() + 1);
        let half = fold(empty(), &world.log[..cut]);
        let back = Session::from_snapshot(Session::SNAPSHOT_FORMAT, &half.to_snapshot());
        prop_assert_eq!(back.as_ref(), Some(&half), "a snapshot is the state");
        prop_assert_eq!(&fold(half, &world.log[cut..]), &world.session, "snapshot and tail");

        let stored: Vec<Event> = world.log.iter().map(|e| {
            let body = e.body.to_json();
            let erased = world.redacted.contains(&(e.stream, e.seq));
            let body = if erased { redacted_body(&body) } else { body };
            Event::from_stored(e.stream, e.seq, &e.header_json(), &body).expect("what was written reads")
        }).collect();
        prop_assert_eq!(&fold(empty(), &stored), &world.session, "read from the store after erasure");
    }

    /// A broken history gives a wrong state, never a panic, and even that one survives a snapshot.
    #[test]
    fn folding_never_panics(tries in tries(60), order in any::<Vec<prop::sample::Index>>()) {
        let mut world = World::new();
        for one in &tries {
            world.attempt(one);
        }
        let mixed = fold(Session::empty(session_id()), order.iter().map(|i| i.get(&world.log)));
        let back = Session::from_snapshot(Session::SNAPSHOT_FORMAT, &mixed.to_snapshot());
        prop_assert_eq!(back.as_ref(), Some(&mixed));
        let _ = (mixed.info(), mixed.owed(), mixed.next_deadline());
    }
}

/// A random search that never got anywhere would prove nothing: over the runs above, every kind must come up.
#[test]
fn the_search_reaches_every_kind_of_event() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use roundtable_protocol::event::EventBody;
    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let mut world = World::new();
        for one in tries(120).new_tree(&mut runner).expect("a value").current() {
            world.attempt(&one);
        }
        reached.extend(world.log.iter().map(|e| e.body.kind()));
    }
    // Comes a day after the end of a session that is not recorded; these worlds are recorded.
    reached.insert("action.redacted");
    // The session of these worlds is started when it is founded.
    let missing: Vec<_> = EventBody::KINDS.iter().filter(|kind| !reached.contains(**kind)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}
