use std::io::Read;

use flate2::read::DeflateDecoder;

use super::*;

fn frame(len: usize) -> Frame {
    Frame::events_of(SessionId::NIL, Stream::Main, Seq(1), Seq(1), std::iter::once("x".repeat(len).as_bytes()))
}

/// Reads a header by RFC 6455, section 5.2; returns opcode, length of the payload and length of the header.
fn header(bytes: &[u8]) -> (u8, usize, usize) {
    assert_eq!(bytes[0] & 0xf0, 0x80, "whole, no reserved bits");
    assert_eq!(bytes[1] & 0x80, 0, "not masked");
    let big = |n: usize| bytes[2..2 + n].iter().fold(0, |len, b| len << 8 | usize::from(*b));
    match bytes[1] & 0x7f {
        126 => (bytes[0] & 15, big(2), 4),
        127 => (bytes[0] & 15, big(8), 10),
        len => (bytes[0] & 15, usize::from(len), 2),
    }
}

#[test]
fn a_frame_is_a_header_and_its_text_in_one_piece() {
    let empty = frame(0).text().len();
    for len in [0, 125 - empty.min(125), 126, 60_000, 65_535 - empty, 65_536 - empty, 200_000] {
        let frame = frame(len);
        let whole = frame.framed(false);
        let (opcode, payload, used) = header(whole);
        assert_eq!((opcode, payload), (TEXT, frame.text().len()));
        assert_eq!(&whole[used..], frame.text());
    }
}

#[test]
fn a_large_frame_is_compressed_once_for_all_who_can_read_it() {
    let frame = frame(60_000);
    let whole = frame.framed(true);
    let (opcode, payload, used) = header(whole);
    assert_eq!((opcode, payload), (BINARY, whole.len() - used));
    assert_eq!(whole[used], DEFLATE_MARK);
    let mut text = Vec::new();
    DeflateDecoder::new(&whole[used + 1..]).read_to_end(&mut text).expect("inflates");
    assert_eq!(&text, frame.text());
    assert_eq!(frame.framed(true).as_ptr(), whole.as_ptr());
}

#[test]
fn a_small_frame_is_not_worth_compressing() {
    let frame = frame(100);
    assert_eq!(frame.framed(true), frame.framed(false));
    assert!(frame.deflated().is_none());
}
