//! What is promised in writing: the OpenAPI document, the page of problems, one sample of each frame.
//!
//! `UPDATE_EXPECT=1` writes the samples anew; the diff is to be reviewed as a change of the protocol.

use std::path::Path;

use roundtable_protocol::{Code, Command, EventBody};
use roundtable_server::openapi;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{name} has changed: run this test with UPDATE_EXPECT=1 and review the diff");
}

#[test]
fn the_openapi_document_is_the_reviewed_one() {
    check("../../web/openapi.json", &format!("{}\n", openapi::document().to_pretty_json().expect("JSON")));
}

#[test]
fn one_sample_of_each_frame_is_the_reviewed_one() {
    let samples = crate::support::frames::samples();
    check("tests/it/frames.json", &format!("{}\n", serde_json::to_string_pretty(&samples).expect("JSON")));
    let types = |side: &str| -> Vec<String> {
        let frames = samples[side].as_array().expect("frames");
        frames.iter().map(|frame| frame["type"].as_str().expect("a type").to_owned()).collect()
    };
    assert_eq!(types("client"), roundtable_protocol::ClientFrame::TYPES);
    let document = serde_json::to_value(openapi::document()).expect("JSON");
    assert_eq!(
        types("server").len(),
        document["components"]["schemas"]["ServerFrame"]["oneOf"].as_array().expect("frames").len()
    );
}

#[tokio::test]
async fn the_document_and_the_pages_are_served() {
    let server = TestServer::start().await;
    let http = server.stranger().http;
    let answer = Answer::of(http.get(format!("{}/api/openapi.json", server.base))).await;
    let document = answer.ok();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    assert_eq!(document, serde_json::to_value(openapi::document()).expect("JSON"));
    let page = Answer::of(http.get(format!("{}/api/problems", server.base))).await;
    for code in Code::ALL {
        assert!(page.text.contains(&format!("id={}>", code.name())), "{}", code.name());
    }
    let page = Answer::of(http.get(format!("{}/api/docs/", server.base))).await;
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    let script = Answer::of(http.get(format!("{}/api/docs/swagger-initializer.js", server.base))).await;
    assert!(script.text.contains("/api/openapi.json"), "{}", script.text);
    assert!(!page.text.contains("//unpkg") && !page.text.contains("https://"), "nothing from elsewhere: {}", page.text);
}

/// docs/consistency.md names a test for each of its rules; each of them is there.
#[test]
fn the_page_about_consistency_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = String::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                sources.push_str(&std::fs::read_to_string(path).expect("a text"));
            }
        }
    }
    let page = std::fs::read_to_string(root.join("docs/consistency.md")).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let named: Vec<&str> =
        rows.flat_map(|row| row.rsplit('|').nth(1).unwrap_or("").split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_document_knows_every_code_frame_command_and_event() {
    let document = serde_json::to_value(openapi::document()).expect("JSON");
    let schemas = &document["components"]["schemas"];
    let codes: Vec<&str> =
        schemas["Code"]["enum"].as_array().expect("codes").iter().filter_map(Value::as_str).collect();
    assert_eq!(codes, Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>());
    let text = schemas.to_string();
    for word in Command::NAMES.iter().chain(EventBody::KINDS).chain(roundtable_protocol::ClientFrame::TYPES) {
        assert!(text.contains(&format!("\"{word}\"")), "{word}");
    }
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            assert!(operation["responses"]["default"].is_object(), "{method} {path} says nothing of problems");
            let keyed = operation["parameters"].to_string().contains("Idempotency-Key");
            assert_eq!(keyed, method == "post", "{method} {path}");
        }
    }
    assert_eq!(document["info"]["version"], json!(env!("CARGO_PKG_VERSION")));
}
