//! The `roundtable` command, as a process.

use serde_json::Value;

use crate::support::TestServer;
use crate::support::process::{Process, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn a_server_says_where_it_is_and_ends_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::start(folder.path(), &[]);
    let answer = reqwest::get(format!("{}/readyz", process.base)).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(folder.path().join("data").is_dir(), "./data is the usual folder");
    let log = process.stop();
    assert!(log.contains("serving") && log.contains("shut down"), "{log}");
}

#[tokio::test]
async fn a_second_server_on_one_folder_is_refused() {
    let server = TestServer::start().await;
    let data = server.data.path().display().to_string();
    let output = run(server.data.path(), &["serve", "--listen", "127.0.0.1:0", "--data", &data]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("another server"), "{}", text(&output.stderr));
}

#[test]
fn a_wrong_setting_is_named_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("roundtable.toml"), "[limits]\nconnections = \"many\"\n").expect("written");
    let output = run(folder.path(), &["serve"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("limits.connections") && error.contains("roundtable.toml"), "{error}");
    let output = run(folder.path(), &["serve", "--config", "other.toml"]);
    assert!(text(&output.stderr).contains("other.toml"), "{}", text(&output.stderr));
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(&format!("cannot listen on {address}")), "{}", text(&output.stderr));
}

#[test]
fn the_openapi_document_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["openapi"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(document["paths"]["/api/v1/sessions"]["post"].is_object());
}

#[tokio::test]
async fn the_chain_of_a_session_is_verified() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let event = ana.say(&session, "x").await;
    ana.delete(&format!("/sessions/{session}/messages/{}", event["id"].as_str().expect("an id"))).await.no_content();
    let data = server.stop().await;
    let path = data.path().display().to_string();
    let output = run(data.path(), &["admin", "verify", &session, "--data", &path]);
    let told = text(&output.stdout);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "6 events checked, 1 of them erased", "{}", text(&output.stderr));
    let hash = lines[1].strip_prefix("main 6 ").expect("where the chain of main stands");
    assert!(lines.len() == 2 && hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{told}");
    let other = "01934b2e-5a00-7000-8000-000000000001";
    let output = run(data.path(), &["admin", "verify", other, "--data", &path]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(data.path(), &["migrate", "--data", &path]);
    assert!(text(&output.stdout).ends_with("1 sessions, 6 events\n"), "{}", text(&output.stdout));
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("key.pem"), "canary").expect("written");
    let output = run(folder.path(), &["serve", "--tls-cert", "none.pem", "--tls-key", "key.pem"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("tls_cert") && error.contains("none.pem") && !error.contains("canary"), "{error}");
}
