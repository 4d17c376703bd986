//! What never gets into the log, at no level.

use serde_json::json;

use crate::support::process::Process;
use crate::support::{Model, Person, Socket};

#[tokio::test]
async fn the_log_of_a_whole_session_holds_ids_and_no_secrets() {
    for format in ["text", "json"] {
        let model = Model::start(&["canary-answer"], false).await;
        let url = model.url.replace("http://", "http://canary-user:canary-password@") + "?token=canary-query";
        let folder = tempfile::tempdir().expect("a folder");
        let server = Process::start(
            folder.path(),
            &[
                ("ROUNDTABLE_LOG_FILTER", "trace"),
                ("ROUNDTABLE_LOG_FORMAT", format),
                ("ROUNDTABLE_MODEL_URL", &url),
                ("ROUNDTABLE_MODEL_NAME", "m"),
                ("ROUNDTABLE_MODEL_KEY", "canary-key"),
                ("ROUNDTABLE_ASSISTANTS_PROBE", ""),
                ("OPENAI_API_KEY", "canary-environment"),
            ],
        );
        // Held until the server has ended: only what the server itself closes leaves a line.
        let (secrets, _socket) = whole_session(&server).await;
        let own = server.base.replace("http://", "");
        let log = server.stop();
        for word in ["request.id", "connection.id", "/api/v1/sessions/{session_id}/links"] {
            assert!(log.contains(word), "{word} is not in the log: {log}");
        }
        for secret in &secrets {
            assert!(!log.contains(secret.as_str()), "{secret} is in the log: {}", line_with(&log, secret));
        }
        let lower = log.to_lowercase();
        assert!(!lower.contains("canary"), "{}", line_with(&lower, "canary"));
        let strangers: Vec<&str> = log.lines().filter(|line| line.replace(&own, "").contains("127.0.0.1")).collect();
        assert_eq!(strangers, [""; 0], "addresses of others than the server");
    }
}

fn line_with(log: &str, word: &str) -> String {
    log.lines().find(|line| line.contains(word)).unwrap_or_default().to_owned()
}

/// Does what people do, and a few things wrong, with recognisable words everywhere. Returns the secrets that the server made,
/// and the open socket.
async fn whole_session(server: &Process) -> (Vec<String>, Socket) {
    let ana = Person::stranger(&server.base).named("Canary Ana").await;
    let body = json!({"title": "canary-title", "settings": {"respond": "manual"}});
    let session = ana.post("/sessions", body).await.created()["id"].as_str().expect("an id").to_owned();
    let link = ana.link(&session, json!({"role": "collaborator", "password": "canary-sesame"})).await;
    let stranger = Person::stranger(&server.base);
    stranger
        .post("/join", json!({"link": link, "display_name": "canary", "password": "canary-wrong"}))
        .await
        .problem("link_password");
    let joined = stranger
        .post("/join", json!({"link": link, "display_name": "Canary Gus", "password": "canary-sesame"}))
        .await
        .ok();
    let gus = Person { token: joined["token"].as_str().map(str::to_owned), ..stranger };
    let mut socket = Socket::join(server, &gus, &session, &["main", "side"]).await;
    socket.command(&session, "message.post", json!({"text": "canary-question", "ask": true})).await;
    socket.event("turn.completed").await;
    socket.command_in(&session, "side", "message.post", json!({"text": "canary-side"})).await;
    socket.send_text("{\"type\":\"canary-frame\"").await;
    socket.until("error").await;
    socket.command(&session, "canary.command", json!({"canary": 1})).await;
    ana.get("/sessions?page=canary-page").await.problem("invalid_field");
    let own = json!({"provider": "openai", "url": "http://127.0.0.1:1/canary-url", "key": "canary-typed", "model": "canary-m"});
    ana.post("/assistants", own).await.problem("invalid_field");
    ana.get("/canary-path").await.problem("not_found");
    ana.post("/guests", json!({"display_name": 7, "mail": "canary@example.org"})).await.problem("invalid_field");
    (vec![ana.token().to_owned(), gus.token().to_owned(), link], socket)
}
