use roundtable_protocol::{MessageId, ParticipantId, Role, SessionId, Stream, Timestamp, TurnId};
use tokio::time::Instant;

use super::*;
use crate::driver::AgentEvent;
use crate::turn::{AuthorKind, MainText, TranscriptEntry};

const GUIDE: ParticipantId = ParticipantId(uuid::Uuid::from_u128(0xe));

fn entry(n: u128, author: u128, text: &str) -> TranscriptEntry {
    let participant = ParticipantId(uuid::Uuid::from_u128(author));
    TranscriptEntry {
        message: MessageId(uuid::Uuid::from_u128(n)),
        participant,
        author_name: format!("P{author}"),
        role: Role::Collaborator,
        kind: if participant == GUIDE { AuthorKind::Assistant } else { AuthorKind::Person },
        trusted: true,
        at: Timestamp::UNIX_EPOCH,
        text: MainText::from_stream(Stream::Main, text).expect("main"),
        attachments: Vec::new(),
    }
}

fn input(transcript: Vec<TranscriptEntry>) -> TurnInput {
    TurnInput {
        turn: TurnId::NIL,
        request: transcript.last().map_or(MessageId::NIL, |entry| entry.message),
        session_title: "T".to_owned(),
        assistant: GUIDE,
        assistant_name: "Guide".to_owned(),
        memories: Vec::new(),
        transcript,
    }
}

fn says(question: &str) -> String {
    match answers::reply(&input(vec![entry(1, 0xe, "hello"), entry(2, 1, question)])) {
        Reply::Says(text) => text,
        other => panic!("{other:?}"),
    }
}

async fn open() -> Opened {
    let spec = OpenSpec { session: SessionId::NIL, assistant: GUIDE };
    Guide::default().open(spec).await.expect("needs nothing")
}

/// Runs one turn, stopping it after `stop_after` pieces; returns pieces, end and how long it took.
async fn run(question: &str, stop_after: usize) -> (Vec<String>, TurnEnd, Duration) {
    let Opened { mut session, mut events } = open().await;
    let stop = CancellationToken::new();
    let began = Instant::now();
    session.prompt(input(vec![entry(1, 1, question)]), stop.clone()).await.expect("idle");
    let mut pieces = Vec::new();
    loop {
        match events.recv().await.expect("ends with Ended") {
            AgentEvent::Text(piece) => pieces.push(piece),
            AgentEvent::Ended(end) => return (pieces, end, began.elapsed()),
            other => panic!("{other:?}"),
        }
        if pieces.len() == stop_after {
            stop.cancel();
        }
    }
}

#[test]
fn the_first_answer_introduces_and_says_how_to_connect_a_model() {
    let Reply::Says(text) = answers::reply(&input(vec![entry(1, 1, "How do I connect a model?")])) else {
        panic!("says");
    };
    for needed in ["not an AI model", "ROUNDTABLE_MODEL_URL", "ROUNDTABLE_MODEL_KEY", "ROUNDTABLE_MODEL_NAME"] {
        assert!(text.contains(needed), "{needed}: {text}");
    }
}

#[test]
fn each_topic_has_its_answer() {
    for (question, part) in [
        ("@Guide how do I share this?", "the link is copied"),
        ("what is the side chat for", "never reaches me or any model"),
        ("can I stop you?", "Press **Stop**"),
        ("why is mine waiting?", "in the queue"),
        ("what may a viewer do", "**Collaborator**"),
        ("which LLM is this", "ROUNDTABLE_MODEL_URL"),
        ("hello!", "Ask me about"),
        ("/help", "/demo long"),
        ("/nonsense", "do not know that command"),
        ("/demo", "/demo slow"),
        ("@guide: /HELP", "/demo long"),
    ] {
        assert!(says(question).contains(part), "{question}: {}", says(question));
    }
}

#[test]
fn it_never_imitates_conversation() {
    let text = says("Schreib mir bitte ein Gedicht über Katzen");
    assert!(text.starts_with("I have no rule for that"), "{text}");
}

#[test]
fn it_counts_from_the_transcript() {
    let mut transcript = vec![entry(1, 1, "a"), entry(2, 0xe, "b"), entry(3, 2, "c"), entry(4, 1, "who is here?")];
    transcript[2].author_name = "Ben".to_owned();
    let Reply::Says(text) = answers::reply(&input(transcript)) else { panic!("says") };
    assert!(text.contains("2 people wrote 3 messages here: P1, Ben."), "{text}");
    assert!(text.contains("There was 1 answer of an assistant."), "{text}");
}

#[test]
fn it_answers_the_message_that_asked_not_the_last_one() {
    let mut given = input(vec![entry(1, 1, "/help"), entry(2, 2, "/demo error")]);
    given.request = MessageId(uuid::Uuid::from_u128(1));
    assert!(matches!(answers::reply(&given), Reply::Says(_)));
}

#[tokio::test]
async fn it_is_labelled() {
    let caps = Guide::default().probe().await.expect("always there");
    assert_eq!(caps.label, "Guide - not an AI model");
    assert_eq!(caps.model, None);
}

#[tokio::test(start_paused = true)]
async fn a_long_demo_streams_word_by_word_for_about_twenty_seconds() {
    let (pieces, end, took) = run("/demo long", usize::MAX).await;
    assert_eq!(end, TurnEnd::Completed(EndReason::EndTurn));
    assert!((18..=22).contains(&took.as_secs()), "{took:?}, {} pieces", pieces.len());
    assert!(pieces.iter().all(|piece| piece.split_whitespace().count() <= 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_demo_waits_before_its_first_word() {
    let (pieces, end, took) = run("/demo slow", 1).await;
    assert_eq!((pieces.len(), end), (1, TurnEnd::Stopped));
    assert_eq!(took.as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_error_demo_fails_after_some_text() {
    let (pieces, end, _) = run("/demo error", usize::MAX).await;
    assert!(pieces.len() > 20);
    assert!(matches!(end, TurnEnd::Failed(failure) if failure.code.name() == "guide_demo_error"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_effect_within_one_piece() {
    let (pieces, end, took) = run("/demo long", 10).await;
    assert_eq!(end, TurnEnd::Stopped);
    assert_eq!(pieces.len(), 10);
    assert!(took <= Pace::default().word * 11, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_word_says_nothing() {
    let Opened { mut session, mut events } = open().await;
    let stop = CancellationToken::new();
    stop.cancel();
    session.prompt(input(vec![entry(1, 1, "/demo slow")]), stop).await.expect("idle");
    assert_eq!(events.recv().await, Some(AgentEvent::Ended(TurnEnd::Stopped)));
}
