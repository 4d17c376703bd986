use std::collections::BTreeSet;

use roundtable_protocol::event::{Event, EventBody};
use roundtable_protocol::ids::{MessageId, Seq, Stream};
use roundtable_protocol::view::View;
use roundtable_sim::fixtures;
use serde_json::{Value, json};

fn files() -> Vec<(String, Vec<Value>)> {
    let mut paths: Vec<_> = std::fs::read_dir(fixtures::folder()).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let lines = |text: String| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), lines(std::fs::read_to_string(path).unwrap()))).collect()
}

#[test]
fn the_files_are_up_to_date() {
    let written: Vec<_> = files().into_iter().map(|(name, _)| name).collect();
    let mut told = fixtures::all();
    told.sort();
    assert_eq!(written, told.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    for (name, text) in told {
        let file = std::fs::read_to_string(fixtures::folder().join(&name)).unwrap();
        assert!(file == text, "{name} is stale: cargo run -p roundtable-sim -- --fixtures");
    }
}

#[test]
fn every_event_kind_occurs() {
    let kinds: BTreeSet<String> = files()
        .iter()
        .flat_map(|(_, lines)| lines)
        .filter_map(|line| line["event"]["kind"].as_str().map(str::to_owned))
        .collect();
    let all: BTreeSet<String> = EventBody::KINDS.iter().map(|k| (*k).to_owned()).collect();
    assert_eq!(kinds, all);
}

#[test]
fn the_view_folded_from_the_wire_is_the_one_in_the_files() {
    for (name, lines) in files() {
        let mut view = View::default();
        for (n, line) in lines.iter().enumerate() {
            let place = format!("{name} line {}", n + 1);
            let stream = |of: &Value| serde_json::from_value::<Stream>(of.clone()).unwrap();
            if let Some(event) = line.get("event") {
                view.apply(&serde_json::from_value::<Event>(event.clone()).unwrap());
            } else if let Some(delta) = line.get("delta") {
                let message: MessageId = serde_json::from_value(delta["message"].clone()).unwrap();
                let offset = delta["offset"].as_u64().unwrap();
                let taken = view.apply_delta(message, offset, delta["text"].as_str().unwrap());
                assert_eq!(json!(taken), line["taken"], "{place}");
            } else if let Some(skip) = line.get("skip") {
                view.skip(stream(&skip["stream"]), Seq(skip["seq"].as_u64().unwrap()));
            } else {
                let streams = line["head"].as_array().expect("the last kind of line").iter().map(stream).collect();
                assert_eq!(json!(view.to_head(streams)), line["view"], "{place}");
                continue;
            }
            assert_eq!(json!(view), line["view"], "{place}");
        }
    }
}

#[test]
fn a_title_that_was_made_from_an_erased_message_is_erased() {
    let all = files();
    let of = |name: &str| &all.iter().find(|(file, _)| file == name).unwrap().1;
    assert!(of("title.jsonl").iter().any(|line| line.to_string().contains("canary")));
    assert!(!of("title_erased.jsonl").iter().any(|line| line.to_string().contains("canary")));
    assert_eq!(of("title.jsonl").last().unwrap()["view"]["session"]["title"], "Ana's own");
    assert_eq!(of("title_erased.jsonl").last().unwrap()["view"], of("title.jsonl").last().unwrap()["view"]);
}

#[test]
fn offsets_inside_the_fixtures_pass_emoji() {
    let beyond = |c: char| c as u32 > 0xffff;
    let texts = files().into_iter().flat_map(|(_, lines)| lines).filter_map(|line| {
        let delta = line.get("delta")?;
        Some((delta["offset"].as_u64()?, delta["text"].as_str()?.to_owned(), line["taken"] == json!(true)))
    });
    let all: Vec<_> = texts.collect();
    assert!(all.iter().any(|(offset, text, taken)| *taken && *offset > 0 && text.contains(beyond)));
    assert!(all.iter().any(|(_, _, taken)| !taken), "a hole or a late delta");
}
