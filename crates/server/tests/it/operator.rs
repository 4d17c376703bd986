//! What whoever runs a server does beside it: looking whether all is well, changing what is logged.

use std::process::Output;

use serde_json::json;

use crate::support::process::{Process, run};
use crate::support::{Answer, Person, TestServer};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Returns the verdict on one thing.
fn verdict(output: &Output, what: &str) -> String {
    let text = text(&output.stdout);
    let line = text.lines().find(|line| line.get(9..).is_some_and(|rest| rest.starts_with(what)));
    line.unwrap_or_else(|| panic!("nothing about {what}: {text}")).split(' ').next().expect("a word").to_owned()
}

#[test]
fn the_doctor_finds_a_fresh_place_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    let shown = text(&output.stdout);
    for what in ["settings", "data folder", "address", "page", "Chromium", "model", "clock", "clock's pace"] {
        assert_ne!(verdict(&output, what), "problem", "{shown}");
    }
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

#[test]
fn the_doctor_names_a_problem_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = run(folder.path(), &["doctor", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(verdict(&output, "address"), "problem");
    assert!(text(&output.stdout).contains("--listen"));
    std::fs::write(folder.path().join("roundtable.toml"), "colour = 1").expect("written");
    let output = run(folder.path(), &["doctor"]);
    assert_eq!((output.status.code(), verdict(&output, "settings").as_str()), (Some(1), "problem"));
}

#[tokio::test]
async fn the_doctor_does_not_disturb_a_running_server() {
    let server = TestServer::start().await;
    let data = server.data.path().display().to_string();
    let address = server.server.address().to_string();
    let output = run(server.data.path(), &["doctor", "--data", &data, "--listen", &address]);
    let shown = text(&output.stdout);
    assert_eq!(
        (verdict(&output, "lock").as_str(), verdict(&output, "address").as_str()),
        ("warning", "warning"),
        "{shown}"
    );
    assert_eq!(verdict(&output, "database"), "ok", "{shown}");
    assert_eq!(output.status.code(), Some(0), "{shown}");
    server.session().await;
}

#[tokio::test]
async fn what_is_logged_can_be_changed_while_the_server_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::start(folder.path(), &[("ROUNDTABLE_LOG_FILTER", "info")]);
    let stranger = Person::stranger(&process.base);
    stranger.get("/stats?before=1").await;
    let output = run(folder.path(), &["admin", "log", "info,roundtable_server::problem=debug,hyper=trace"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    stranger.get("/stats").await;
    let output = run(folder.path(), &["admin", "log", "no=such=filter"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let output = run(folder.path(), &["admin", "log", "warn"]);
    assert_eq!(output.status.code(), Some(0));
    stranger.get("/me").await.problem("not_logged_in");
    let log = process.stop();
    assert_eq!(log.matches("route=/api/v1/stats").count(), 1, "from the change on: {log}");
    assert_eq!(log.matches("what is logged was changed").count(), 2, "{log}");
    assert!(!log.contains("route=/api/v1/me") && !log.contains("shut down"), "{log}");
    assert!(!log.contains("hyper::"), "what could show headers stays silent: {log}");
    let output = run(folder.path(), &["admin", "log", "info"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no server runs"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn only_the_token_in_the_data_folder_changes_what_is_logged() {
    let server = TestServer::start().await;
    let file = server.data.path().join("operator.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    }
    let announced: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).expect("read")).expect("JSON");
    assert_eq!(announced["url"], server.base);
    let token = announced["token"].as_str().expect("a token").to_owned();
    let put = async |token: Option<&str>, headers: &[(&'static str, &str)]| {
        let mut call = server.stranger().http.put(format!("{}/api/v1/admin/log", server.base));
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        if let Some(token) = token {
            call = call.bearer_auth(token);
        }
        Answer::of(call.json(&json!({"filter": "info"}))).await
    };
    let ana = server.person("Ana").await;
    put(None, &[]).await.problem("not_logged_in");
    put(Some(ana.token()), &[]).await.problem("not_logged_in");
    put(Some("canary"), &[]).await.problem("not_logged_in");
    // A program that embeds the server owns its log itself.
    put(Some(&token), &[]).await.problem("not_available");
    let me = Person { token: Some(token), ..server.stranger() };
    me.get("/me").await.problem("not_logged_in");
    let data = server.stop().await;
    assert!(!data.path().join("operator.json").exists(), "it goes with the server");
}
