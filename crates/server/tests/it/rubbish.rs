//! Whatever comes in: it is read or refused with a place, and nothing panics. `make soak` plays many more cases.

use proptest::prelude::*;
use roundtable_protocol::{ClientFrame, Problem};
use roundtable_server::{json, ws::parse};
use serde_json::{Value, json};

use crate::support::frames;

/// Few cases in the ordinary run; `PROPTEST_CASES` asks for more. What fails becomes a named test, not a file of seeds.
fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").map(|_| ProptestConfig::default().cases);
    ProptestConfig { cases: asked.unwrap_or(512), failure_persistence: None, ..ProptestConfig::default() }
}

/// Names that mean something in some frame, so that rubbish comes far.
const NAMES: [&str; 24] = [
    "type",
    "id",
    "key",
    "session_id",
    "stream",
    "streams",
    "seen",
    "name",
    "data",
    "retry",
    "token",
    "features",
    "epoch",
    "after",
    "seq",
    "lane",
    "text",
    "message",
    "turn",
    "settings",
    "command",
    "hello",
    "subscribe",
    "ping",
];

/// One bite out of a text, or something in it that does not belong there.
#[derive(Clone, Debug)]
enum Bite {
    Cut(prop::sample::Index),
    Drop(prop::sample::Index, usize),
    Put(prop::sample::Index, String),
    Double(prop::sample::Index, usize),
}

impl Bite {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        let scrap = prop_oneof![
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "null", "1e999", "-"
            ])
            .prop_map(str::to_owned),
            ".{0,8}",
        ];
        prop_oneof![
            at().prop_map(Self::Cut),
            (at(), 1..40_usize).prop_map(|(at, n)| Self::Drop(at, n)),
            (at(), scrap).prop_map(|(at, scrap)| Self::Put(at, scrap)),
            (at(), 1..40_usize).prop_map(|(at, n)| Self::Double(at, n)),
        ]
    }

    fn apply(&self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        let place = |at: &prop::sample::Index| at.index(chars.len() + 1);
        match self {
            Self::Cut(at) => chars.truncate(place(at)),
            Self::Drop(at, n) => {
                let from = place(at);
                let to = (from + n).min(chars.len());
                chars.drain(from..to);
            }
            Self::Put(at, scrap) => {
                let at = place(at);
                chars.splice(at..at, scrap.chars());
            }
            Self::Double(at, n) => {
                let from = place(at);
                let again: Vec<char> = chars[from..].iter().take(*n).copied().collect();
                chars.splice(from..from, again);
            }
        }
        chars.into_iter().collect()
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(NAMES.to_vec()).prop_map(Value::from),
        Just(json!("01934b2e-5a00-7000-8000-000000000001")),
        Just(json!("main")),
    ];
    let name = prop_oneof![prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), ".{0,6}"];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// A refusal says what is wrong with the text, and never that the server is.
fn is_about_the_text(problem: &Problem) -> Result<(), TestCaseError> {
    let codes = ["malformed_json", "invalid_field", "unknown_field", "unknown_frame", "unknown_command", "invalid_key"];
    prop_assert!(codes.contains(&problem.code.name()) && !problem.retryable, "{problem:?}");
    prop_assert!(problem.errors.iter().all(|field| field.pointer.starts_with('/') || field.pointer.is_empty()));
    Ok(())
}

fn read(text: &str) -> Result<(), TestCaseError> {
    match parse::frame(text) {
        Ok(ClientFrame::Command(frame)) => {
            parse::key(&frame).map_or_else(|problem| is_about_the_text(&problem), |()| Ok(()))?;
            parse::command(&frame.name, frame.data).map_or_else(|problem| is_about_the_text(&problem), |_| Ok(()))
        }
        Ok(_) => Ok(()),
        Err(unreadable) => is_about_the_text(&unreadable.problem),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn bitten_frames_are_read_or_refused(
        frame in any::<prop::sample::Index>(),
        bites in prop::collection::vec(Bite::any(), 1..5),
    ) {
        let samples = frames::samples();
        let samples = samples["client"].as_array().expect("samples");
        let text = samples[frame.index(samples.len())].to_string();
        let bitten = bites.iter().fold(text, |text, bite| bite.apply(&text));
        read(&bitten)?;
    }

    #[test]
    fn any_json_is_read_or_refused(value in value(), name in prop::sample::select(commands())) {
        read(&value.to_string())?;
        let mut frame = json!({"type": "command", "id": 7, "name": name, "data": value});
        frame["key"] = json!("01934b2e-5a00-7000-8000-000000000001");
        frame["session_id"] = frame["key"].clone();
        read(&frame.to_string())?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        if let Err(problem) = json::parse::<Value>(&bytes) {
            is_about_the_text(&problem)?;
        }
        read(&text)?;
        read(&String::from_utf8_lossy(&bytes))?;
    }
}

fn commands() -> Vec<&'static str> {
    vec![
        "session.start",
        "session.rename",
        "session.change_details",
        "session.change_settings",
        "session.end",
        "participant.leave",
        "participant.remove",
        "participant.change_role",
        "message.post",
        "message.edit",
        "message.redact",
        "decision.record",
        "decision.withdraw",
        "turn.ask",
        "turn.edit",
        "turn.withdraw",
        "turn.stop",
        "participant.join",
        "turn.start",
        "",
    ]
}
