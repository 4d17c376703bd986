use roundtable_protocol::{MessageId, TurnId};

use super::*;

fn progressed(offset: u64, text: &str, pace: &[(u32, u32)]) -> TurnProgressed {
    TurnProgressed {
        turn: TurnId::NIL,
        message: MessageId::NIL,
        offset,
        text: text.to_owned(),
        pace: pace.to_vec(),
        lease_until: Timestamp::UNIX_EPOCH,
        redacted: false,
    }
}

fn of(data: &TurnProgressed) -> Vec<(u64, u64, String)> {
    pieces(data).into_iter().map(|p| (u64::try_from(p.after.as_millis()).expect("ms"), p.offset, p.text)).collect()
}

#[test]
fn text_comes_again_in_the_pieces_in_which_it_came() {
    let text = of(&progressed(10, "ab😀cd", &[(5, 2), (30, 2), (7, 2)]));
    let piece = |after, offset, text: &str| (after, offset, text.to_owned());
    assert_eq!(text, [piece(5, 10, "ab"), piece(30, 12, "😀"), piece(7, 14, "cd")]);
}

#[test]
fn text_without_a_pace_and_erased_text_have_no_pieces() {
    assert_eq!(of(&progressed(0, "all at once", &[])), []);
    assert_eq!(of(&progressed(0, "", &[(5, 2), (30, 2)])), []);
}

#[test]
fn a_place_by_seq_looks_at_its_own_stream_alone_and_the_empty_place_is_the_start() {
    let at = Timestamp::UNIX_EPOCH;
    let place = Place::seq(Stream::Main, Seq(3));
    assert!(!place.is_before(Stream::Main, Seq(3), at));
    assert!(place.is_before(Stream::Main, Seq(4), at));
    assert!(!place.is_before(Stream::Side, Seq(9), at));
    assert!(Place::At(BTreeMap::new()).is_before(Stream::Main, Seq(1), at));
}
