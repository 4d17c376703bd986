//! The rules of the model driver.

use std::time::Duration;

use roundtable_assistant::{
    AgentEvent, AuthorKind, Driver, FailureCode, MainText, ModelConfig, ModelDriver, OpenSpec, Opened, Secret,
    TranscriptEntry, TurnEnd, TurnInput,
};
use roundtable_protocol::model::{EndReason, Usage, UsageSource};
use roundtable_protocol::{MessageId, ParticipantId, Role, SessionId, Stream, Timestamp, TurnId};
use tokio_util::sync::CancellationToken;

use crate::endpoint::{Endpoint, Script, delta, finish};

/// A key that must never be seen anywhere but in a request's header.
pub const KEY: &str = "sk-canary-4f1b";

/// A configuration for tests: patient, but without waits between attempts.
pub fn config(endpoint: &Endpoint) -> ModelConfig {
    let mut config = ModelConfig::new(Secret::new(format!("{}/v1", endpoint.origin)), Secret::new(KEY), "test-model");
    config.backoff = Duration::from_millis(1);
    config.first_token_timeout = Duration::from_secs(20);
    config.idle_timeout = Duration::from_secs(20);
    config
}

pub fn input(text: &str) -> TurnInput {
    TurnInput {
        turn: TurnId::NIL,
        request: MessageId::NIL,
        session_title: "Plans".to_owned(),
        assistant: ParticipantId(uuid::Uuid::from_u128(9)),
        assistant_name: "Assistant".to_owned(),
        memories: Vec::new(),
        transcript: vec![TranscriptEntry {
            message: MessageId::NIL,
            participant: ParticipantId::NIL,
            author_name: "Ana".to_owned(),
            role: Role::Owner,
            kind: AuthorKind::Person,
            trusted: true,
            at: Timestamp::UNIX_EPOCH,
            text: MainText::from_stream(Stream::Main, text).expect("main"),
            attachments: Vec::new(),
        }],
    }
}

/// What a turn gave.
#[derive(Debug)]
pub struct Outcome {
    pub text: String,
    pub usage: Option<Usage>,
    pub unknown: Vec<String>,
    pub end: TurnEnd,
}

impl Outcome {
    fn code(&self) -> FailureCode {
        match &self.end {
            TurnEnd::Failed(failure) => failure.code,
            other => panic!("expected a failure, got {other:?}"),
        }
    }
}

/// Runs one turn; stops it once `stop_after` pieces have come.
pub async fn run_until(config: ModelConfig, stop_after: usize) -> Outcome {
    let driver = ModelDriver::new(config).expect("a valid configuration");
    let spec = OpenSpec { session: SessionId::NIL, assistant: ParticipantId::NIL };
    let Opened { mut session, mut events } = driver.open(spec).await.expect("opens without a call");
    let stop = CancellationToken::new();
    session.prompt(input("What now?"), stop.clone()).await.expect("idle");
    let mut outcome =
        Outcome { text: String::new(), usage: None, unknown: Vec::new(), end: TurnEnd::Completed(EndReason::EndTurn) };
    let mut pieces = 0;
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), events.recv()).await.expect("a turn ends");
        match event.expect("ends with Ended") {
            AgentEvent::Text(text) => {
                outcome.text.push_str(&text);
                pieces += 1;
                if pieces == stop_after {
                    stop.cancel();
                }
            }
            AgentEvent::Usage(usage) => outcome.usage = Some(usage),
            AgentEvent::Unknown { what, .. } => outcome.unknown.push(what),
            AgentEvent::Ended(end) => {
                outcome.end = end;
                session.close().await;
                assert_eq!(events.recv().await, None, "nothing follows the end");
                return outcome;
            }
        }
    }
}

pub async fn run(config: ModelConfig) -> Outcome {
    run_until(config, usize::MAX).await
}

#[tokio::test]
async fn an_answer_streams_and_its_usage_is_split() {
    let mut endpoint = Endpoint::start(vec![Script::answer(&["Hel", "lo ", "wörld"])]).await;
    let outcome = run(config(&endpoint)).await;
    assert_eq!(outcome.text, "Hello wörld");
    assert_eq!(outcome.end, TurnEnd::Completed(EndReason::EndTurn));
    let usage = Usage {
        input_uncached: 40,
        cache_read: 60,
        cache_write: 0,
        output: 14,
        reasoning: 5,
        source: UsageSource::Reported,
    };
    assert_eq!(outcome.usage, Some(usage));
    let (head, body) = endpoint.request().await;
    assert!(head.starts_with("post /v1/chat/completions http/1.1"), "{head}");
    assert!(head.contains(&format!("authorization: bearer {KEY}")), "{head}");
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["messages"][0]["role"], "system");
    let asked = body["messages"][1]["content"].as_str().expect("text");
    assert!(asked.starts_with("<rt-message from=\"Ana\""), "{asked}");
}

#[tokio::test]
async fn a_models_name_is_sent_as_it_is_configured() {
    for name in ["qwen3-high", "org/model::tag", "claude-x", "gpt-5-low"] {
        let mut endpoint = Endpoint::start(vec![Script::answer(&["ok"])]).await;
        let mut config = config(&endpoint);
        config.model = name.to_owned();
        run(config).await;
        let (_, body) = endpoint.request().await;
        assert_eq!(body["model"], name);
        assert!(body.get("reasoning_effort").is_none(), "{body}");
    }
}

#[tokio::test]
async fn an_empty_key_sends_no_authorization() {
    let mut endpoint = Endpoint::start(vec![Script::answer(&["ok"])]).await;
    let mut config = config(&endpoint);
    config.key = Secret::new("");
    assert_eq!(run(config).await.text, "ok");
    let (head, _) = endpoint.request().await;
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn a_cut_after_the_first_token_keeps_the_text_and_is_not_tried_again() {
    let cut = Script::stream(vec![delta("par"), delta("tial")]).then_cut();
    let mut endpoint = Endpoint::start(vec![cut, Script::answer(&["second"])]).await;
    let outcome = run(config(&endpoint)).await;
    assert_eq!(outcome.text, "partial");
    assert_eq!(outcome.code(), FailureCode::ModelFailed);
    let usage = outcome.usage.expect("an estimate");
    assert_eq!((usage.source, usage.output), (UsageSource::Estimated, 2));
    assert!(usage.input_uncached > 100);
    assert_eq!(endpoint.further_requests(), 1);
}

#[tokio::test]
async fn an_overload_after_the_first_token_is_not_tried_again() {
    let overload = r#"{"error":{"code":503,"message":"overloaded"}}"#.to_owned();
    for (before, requests, text) in [(vec![], 2, "second"), (vec![delta("partial")], 1, "partial")] {
        let script = Script::stream(before.into_iter().chain([overload.clone()]).collect());
        let mut endpoint = Endpoint::start(vec![script, Script::answer(&["second"])]).await;
        assert_eq!(run(config(&endpoint)).await.text, text);
        assert_eq!(endpoint.further_requests(), requests);
    }
}

#[tokio::test]
async fn a_body_that_ends_politely_without_a_finish_reason_was_cut_too() {
    let endpoint = Endpoint::start(vec![Script::stream(vec![delta("partial")])]).await;
    let outcome = run(config(&endpoint)).await;
    assert_eq!((outcome.text.as_str(), outcome.code()), ("partial", FailureCode::ModelFailed));
}

#[tokio::test]
async fn a_finish_reason_without_done_is_an_end() {
    let endpoint = Endpoint::start(vec![Script::stream(vec![delta("whole"), finish("length")])]).await;
    let outcome = run(config(&endpoint)).await;
    assert_eq!((outcome.text.as_str(), outcome.end), ("whole", TurnEnd::Completed(EndReason::MaxTokens)));
}

#[tokio::test]
async fn a_filtered_answer_is_a_refusal() {
    let events = vec![delta("no"), finish("content_filter"), "[DONE]".to_owned()];
    let endpoint = Endpoint::start(vec![Script::stream(events)]).await;
    assert_eq!(run(config(&endpoint)).await.end, TurnEnd::Completed(EndReason::Refusal));
}

#[tokio::test]
async fn too_many_requests_and_server_errors_are_tried_again_before_the_first_token() {
    let limited = Script::status("429 Too Many Requests", "retry-after-ms: 1\r\n", "{}");
    let broken = Script::status("503 Service Unavailable", "", "{}");
    let mut endpoint = Endpoint::start(vec![limited, broken, Script::answer(&["third time"])]).await;
    let outcome = run(config(&endpoint)).await;
    assert_eq!(outcome.text, "third time");
    assert_eq!(endpoint.further_requests(), 3);
}

#[tokio::test]
async fn it_gives_up_after_three_attempts() {
    let limited = Script::status("429 Too Many Requests", "", "{}");
    let mut endpoint = Endpoint::start(vec![limited; 5]).await;
    let outcome = run(config(&endpoint)).await;
    assert_eq!(outcome.code(), FailureCode::ModelRateLimited);
    assert!(matches!(&outcome.end, TurnEnd::Failed(failure) if failure.retryable));
    assert_eq!(outcome.usage, None, "no token came");
    assert_eq!(endpoint.further_requests(), 3);
}

#[tokio::test]
async fn a_wait_longer_than_a_turn_may_take_fails_at_once_and_says_how_long() {
    let limited = Script::status("429 Too Many Requests", "retry-after: 3600\r\n", "{}");
    let mut endpoint = Endpoint::start(vec![limited, Script::answer(&["late"])]).await;
    let outcome = run(config(&endpoint)).await;
    let TurnEnd::Failed(failure) = outcome.end else { panic!("fails") };
    assert!(failure.message.contains("3600 seconds"), "{}", failure.message);
    assert_eq!(endpoint.further_requests(), 1);
}

#[tokio::test]
async fn silence_before_the_first_token_times_out() {
    let mut endpoint = Endpoint::start(vec![Script::stream(vec![]).then_silence()]).await;
    let mut config = config(&endpoint);
    config.first_token_timeout = Duration::from_millis(60);
    let outcome = run(config).await;
    assert_eq!((outcome.text.as_str(), outcome.code()), ("", FailureCode::ModelTimedOut));
    endpoint.request().await;
    endpoint.closed().await;
    assert_eq!(endpoint.further_requests(), 0, "silence is not tried again");
}

#[tokio::test]
async fn silence_after_a_token_times_out_and_keeps_the_text() {
    let mut endpoint = Endpoint::start(vec![Script::stream(vec![delta("so far")]).then_silence()]).await;
    let mut config = config(&endpoint);
    config.idle_timeout = Duration::from_millis(60);
    let outcome = run(config).await;
    assert_eq!((outcome.text.as_str(), outcome.code()), ("so far", FailureCode::ModelTimedOut));
    endpoint.request().await;
    endpoint.closed().await;
}

#[tokio::test]
async fn a_stop_closes_the_call_at_the_endpoint() {
    let mut endpoint = Endpoint::start(vec![Script::stream(vec![delta("one "), delta("two ")]).then_silence()]).await;
    let outcome = run_until(config(&endpoint), 2).await;
    assert_eq!((outcome.text.as_str(), outcome.end), ("one two ", TurnEnd::Stopped));
    assert_eq!(outcome.usage.map(|usage| usage.source), Some(UsageSource::Estimated));
    endpoint.request().await;
    endpoint.closed().await;
}

#[tokio::test]
async fn dropping_the_session_closes_the_call_at_the_endpoint() {
    let mut endpoint = Endpoint::start(vec![Script::stream(vec![delta("one")]).then_silence()]).await;
    let driver = ModelDriver::new(config(&endpoint)).expect("a valid configuration");
    let spec = OpenSpec { session: SessionId::NIL, assistant: ParticipantId::NIL };
    let Opened { mut session, mut events } = driver.open(spec).await.expect("opens without a call");
    session.prompt(input("What now?"), CancellationToken::new()).await.expect("idle");
    assert_eq!(events.recv().await, Some(AgentEvent::Text("one".to_owned())));
    drop(session);
    endpoint.request().await;
    endpoint.closed().await;
}

#[tokio::test]
async fn one_session_takes_one_turn_after_the_other() {
    let endpoint = Endpoint::start(vec![Script::answer(&["first"]), Script::answer(&["second"])]).await;
    let driver = ModelDriver::new(config(&endpoint)).expect("a valid configuration");
    let spec = OpenSpec { session: SessionId::NIL, assistant: ParticipantId::NIL };
    let Opened { mut session, mut events } = driver.open(spec).await.expect("opens without a call");
    for expected in ["first", "second"] {
        session.prompt(input("What now?"), CancellationToken::new()).await.expect("idle");
        assert_eq!(events.recv().await, Some(AgentEvent::Text(expected.to_owned())));
        assert!(matches!(events.recv().await, Some(AgentEvent::Usage(_))));
        assert_eq!(events.recv().await, Some(AgentEvent::Ended(TurnEnd::Completed(EndReason::EndTurn))));
    }
}

#[tokio::test]
async fn errors_have_their_codes() {
    let error_frame = r#"{"error":{"message":"boom"}}"#.to_owned();
    for (script, code) in [
        (Script::status("401 Unauthorized", "", "{}"), FailureCode::ModelRefusedKey),
        (Script::status("404 Not Found", "", "{}"), FailureCode::ModelFailed),
        (Script::status("200 OK", "", "<html>a login page</html>"), FailureCode::ModelFailed),
        (Script::stream(vec!["{not json".to_owned()]), FailureCode::ModelFailed),
        (Script::stream(vec![error_frame.clone()]), FailureCode::ModelFailed),
        (Script::stream(vec![delta("x"), error_frame]), FailureCode::ModelFailed),
        (Script::stream(vec![finish("stop"), "[DONE]".to_owned()]), FailureCode::ModelFailed),
    ] {
        let shown = format!("{script:?}");
        let mut endpoint = Endpoint::start(vec![script, Script::answer(&["again"])]).await;
        assert_eq!(run(config(&endpoint)).await.code(), code, "{shown}");
        assert_eq!(endpoint.further_requests(), 1, "{shown}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unreachable() {
    let endpoint = Endpoint::start(Vec::new()).await;
    let config = config(&endpoint);
    drop(endpoint);
    // The listener goes with its aborted task.
    tokio::task::yield_now().await;
    let driver = ModelDriver::new(config.clone()).expect("a valid configuration");
    assert_eq!(driver.probe().await.expect_err("nobody there").code, FailureCode::ModelUnreachable);
    assert_eq!(run(config).await.code(), FailureCode::ModelUnreachable);
}

#[tokio::test]
async fn a_probe_tells_a_refused_key_from_an_endpoint_without_a_list() {
    let refused = Script::status("401 Unauthorized", "", "{}");
    let mut endpoint = Endpoint::start(vec![refused, Script::status("404 Not Found", "", "{}")]).await;
    let driver = ModelDriver::new(config(&endpoint)).expect("a valid configuration");
    assert_eq!(driver.probe().await.expect_err("refused").code, FailureCode::ModelRefusedKey);
    assert_eq!(driver.probe().await.expect("somebody is there").model.as_deref(), Some("test-model"));
    assert!(endpoint.request().await.0.starts_with("get /v1/models "));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let mut endpoint = Endpoint::start(vec![Script::stream(vec![delta("0123456789"); 20]).then_silence()]).await;
    let mut config = config(&endpoint);
    config.max_answer_bytes = 100;
    let outcome = run(config).await;
    assert_eq!((outcome.text.len(), outcome.end), (100, TurnEnd::Completed(EndReason::MaxTokens)));
    endpoint.request().await;
    endpoint.closed().await;
}

#[tokio::test]
async fn a_tool_call_that_was_not_offered_is_recorded_as_unknown() {
    let call = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"rm","arguments":"{}"}}]},"finish_reason":null}]}"#;
    let events = vec![call.to_owned(), finish("tool_calls"), "[DONE]".to_owned()];
    let endpoint = Endpoint::start(vec![Script::stream(events)]).await;
    let outcome = run(config(&endpoint)).await;
    assert_eq!(outcome.unknown, ["tool_call"]);
    assert_eq!(outcome.end, TurnEnd::Completed(EndReason::EndTurn));
}
