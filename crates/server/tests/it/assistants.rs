//! Connecting models: what is found, what may be connected by whom, what answers, what stays secret.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::models::{Models, Speaks};
use crate::support::{Answer, Model, Person, Socket, TestServer};

const KEY: &str = "sk-canary-81c2";

async fn list(person: &Person) -> Value {
    person.get("/assistants").await.ok()
}

async fn connect(person: &Person, body: Value) -> Value {
    person.post("/assistants", body).await.created()
}

fn name(assistant: &Value) -> String {
    assistant["name"].as_str().expect("a name").to_owned()
}

/// Returns where the first wrong field of an `invalid_field` is, and what is said of it.
fn wrong(answer: &Answer) -> (String, String) {
    let problem = answer.problem("invalid_field");
    let error = &problem["errors"][0];
    let text = |field: &str| error[field].as_str().expect(field).to_owned();
    (text("pointer"), text("detail"))
}

async fn choose(person: &Person, session: &str, assistant: &str) {
    let answer = person.patch(&format!("/sessions/{session}"), json!({"settings": {"assistant": assistant}})).await;
    assert_eq!(answer.ok()["settings"]["assistant"], assistant);
}

/// Asks and returns the events that began and ended the answer.
async fn ask(socket: &mut Socket, session: &str) -> (Value, Value) {
    let ok = socket.command(session, "message.post", json!({"text": "say hello", "ask": true})).await;
    assert_eq!(ok["type"], "ok", "{ok}");
    let started = socket.event("turn.started").await;
    (started, socket.event("turn.completed").await)
}

#[tokio::test]
async fn without_anything_there_is_the_guide() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let guide = json!({
        "name": "guide", "label": "Guide - not an AI model", "provider": "guide", "model": null, "paid": false,
        "local": true, "usual": true,
    });
    assert_eq!(list(&ana).await, json!({"assistants": [guide], "found": [], "can_connect": true}));
    server.stranger().get("/assistants").await.problem("not_logged_in");
}

#[tokio::test]
async fn a_model_server_on_this_machine_is_found_connected_and_answers() {
    let models = Models::start(Speaks::Ollama, None).await;
    let server = TestServer::start_with(&[("assistants.probe", &models.address())]).await;
    let ana = server.person("Ana").await;
    let found = &list(&ana).await["found"][0];
    assert_eq!(
        *found,
        json!({
            "id": format!("local-{}", models.port), "provider": "ollama", "label": "Ollama on this machine",
            "source": models.address(), "models": ["llama3.2:latest", "qwen3:4b"], "paid": false, "connected": null,
        })
    );
    let body = json!({"found_id": found["id"], "model": "llama3.2"});
    let made = connect(&ana, body.clone()).await;
    assert_eq!(
        (&made["label"], &made["provider"], &made["model"], &made["paid"], &made["local"], &made["usual"]),
        (
            &json!("llama3.2 · Ollama on this machine"),
            &json!("ollama"),
            &json!("llama3.2"),
            &json!(false),
            &json!(true),
            &json!(true)
        )
    );
    assert_eq!(connect(&ana, body).await, made, "the same thing is not made twice");
    let listed = list(&ana).await;
    assert_eq!(listed["found"][0]["connected"], made["name"]);
    assert_eq!(listed["assistants"][1], made);
    assert_eq!(listed["assistants"][0]["usual"], false);
    assert_eq!(ana.get("/me").await.ok()["assistant"], made["name"]);

    let session = ana.session().await;
    assert_eq!(ana.get(&format!("/sessions/{session}")).await.ok()["settings"]["assistant"], made["name"]);
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    let (started, completed) = ask(&mut socket, &session).await;
    assert_eq!(started["data"]["label"], "llama3.2 · Ollama on this machine");
    let usage = &completed["data"]["usage"];
    assert_eq!(
        (&usage["input_uncached"], &usage["output"], &usage["source"]),
        (&json!(7), &json!(3), &json!("reported"))
    );
}

#[tokio::test]
async fn every_provider_answers_and_its_usage_is_recorded() {
    for (speaks, provider, path) in [
        (Speaks::OpenAi, "openai", "/v1"),
        (Speaks::Anthropic, "anthropic", ""),
        (Speaks::OpenAi, "openai_compatible", "/v1"),
    ] {
        let models = Models::start(speaks, Some(KEY)).await;
        let server = TestServer::start().await;
        let (ana, session) = server.session().await;
        let url = format!("http://{}{path}", models.address());
        let made =
            connect(&ana, json!({"provider": provider, "url": url, "key": KEY, "model": "big-model", "usual": false}))
                .await;
        assert_eq!(
            (&made["provider"], &made["usual"], &made["paid"]),
            (&json!(provider), &json!(false), &json!(false))
        );
        choose(&ana, &session, &name(&made)).await;
        let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
        let (started, completed) = ask(&mut socket, &session).await;
        assert_eq!(started["data"]["label"], "big-model · this machine");
        let usage = &completed["data"]["usage"];
        assert_eq!(
            (&usage["input_uncached"], &usage["output"], &usage["source"]),
            (&json!(7), &json!(3), &json!("reported"))
        );
    }
}

#[tokio::test]
async fn a_key_with_a_price_is_not_used_before_a_person_has_confirmed_it() {
    let models = Models::start(Speaks::OpenAi, Some(KEY)).await;
    // Not loopback for this server, and still this machine.
    let base = format!("http://0.0.0.0:{}/v1", models.port);
    let server = TestServer::start_near(&[], &[("OPENAI_API_KEY", KEY), ("OPENAI_BASE_URL", &base)]).await;
    let ana = server.person("Ana").await;
    let found = list(&ana).await["found"][0].clone();
    assert_eq!(
        found,
        json!({
            "id": "key-openai", "provider": "openai", "label": "OpenAI", "source": "OPENAI_API_KEY in the environment",
            "models": [], "paid": true, "connected": null,
        })
    );
    ana.post("/assistants/scan", json!({"found_id": "key-openai"})).await.problem("confirmation_needed");
    let body = |confirmed: bool| json!({"found_id": "key-openai", "model": "big-model", "confirm_paid": confirmed});
    ana.post("/assistants", body(false)).await.problem("confirmation_needed");
    assert!(models.calls().is_empty(), "nothing was asked");

    let scanned = ana.post("/assistants/scan", json!({"found_id": "key-openai", "confirm_paid": true})).await.ok();
    assert_eq!(scanned["found"][0]["models"], json!(["big-model", "small-model"]));
    let made = connect(&ana, body(true)).await;
    assert_eq!((&made["paid"], &made["usual"], &made["local"]), (&json!(true), &json!(false), &json!(false)));
    let calls = models.calls();
    assert!(calls.iter().all(|call| call.path == "/v1/models" && call.key.as_deref() == Some(KEY)), "{calls:?}");
    let kept = std::fs::read_to_string(server.data.path().join("assistants.json")).expect("kept");
    assert!(kept.contains("OPENAI_API_KEY") && !kept.contains(KEY), "only the name of the variable is kept");
    assert!(!list(&ana).await.to_string().contains(KEY));
}

#[tokio::test]
async fn an_endpoint_of_ones_own_is_checked_kept_and_its_key_never_shown() {
    let models = Models::start(Speaks::OpenAi, Some(KEY)).await;
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let url = format!("http://{}/v1", models.address());
    let body = |url: &str, key: &str, model: &str| json!({"provider": "openai_compatible", "url": url, "key": key, "model": model});
    let refused = async |body: Value| wrong(&ana.post("/assistants", body).await);
    let (pointer, detail) = refused(body(&url, "sk-wrong-key", "big-model")).await;
    assert_eq!(pointer, "/key");
    assert!(detail.contains("refused the key") && !detail.contains("sk-wrong"), "{detail}");
    let (pointer, detail) = refused(body("http://127.0.0.1:1/v1", "", "m")).await;
    assert_eq!(pointer, "/url");
    assert!(detail.contains("Is it running"), "{detail}");
    for (body, pointer) in [
        (body("nonsense", "", "m"), "/url"),
        (body(&url, "a\u{7}b", "m"), "/key"),
        (body(&url, KEY, " "), "/model"),
        (json!({"provider": "openai_compatible", "model": "m"}), "/url"),
        (json!({"provider": "guide", "model": "m"}), "/provider"),
        (json!({"model": "m"}), "/found_id"),
        (json!({"found_id": "local-1", "model": "m"}), "/found_id"),
    ] {
        let shown = body.to_string();
        assert_eq!(refused(body).await.0, pointer, "{shown}");
    }
    let made = connect(&ana, body(&url, KEY, "big-model")).await;
    assert!(!made.to_string().contains(KEY) && !list(&ana).await.to_string().contains(KEY));
    let session = ana.session().await;

    let data = server.stop().await;
    let file = data.path().join("assistants.json");
    assert!(std::fs::read_to_string(&file).expect("kept").contains(KEY));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    }
    let server = TestServer::start_in(data, &[]).await;
    let ana = Person { base: server.base.clone(), ..ana };
    assert_eq!(list(&ana).await["assistants"][1], made, "it survives a restart");
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    ask(&mut socket, &session).await;
}

#[tokio::test]
async fn a_repeated_call_makes_one_connection() {
    let models = Models::start(Speaks::OpenAi, None).await;
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let post = async |model: &str| {
        let url = format!("http://{}/v1", models.address());
        let body = json!({"provider": "openai_compatible", "url": url, "model": model});
        Answer::of(ana.call(Method::POST, "/assistants").header("idempotency-key", "one").json(&body)).await.created()
    };
    let made = post("big-model").await;
    assert_eq!(post("big-model").await, made);
    assert_eq!(list(&ana).await["assistants"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn ollama_is_asked_whether_it_has_the_model() {
    let models = Models::start(Speaks::Ollama, None).await;
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let body =
        |model: &str| json!({"provider": "ollama", "url": format!("http://{}", models.address()), "model": model});
    let (pointer, detail) = wrong(&ana.post("/assistants", body("llama9")).await);
    assert_eq!(pointer, "/model");
    assert!(detail.contains("ollama pull"), "{detail}");
    connect(&ana, body("qwen3:4b")).await;
}

#[tokio::test]
async fn while_others_can_reach_the_server_nobody_reaches_its_network_through_it() {
    let models = Models::start(Speaks::OpenAi, None).await;
    let public = [("hosting", "everyone"), ("public_url", "https://r.example")];
    let server = TestServer::start_with(&public).await;
    let ana = server.person("Ana").await;
    let body = |url: &str| json!({"provider": "openai_compatible", "url": url, "model": "big-model"});
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{}/v1", models.port);
            let (pointer, detail) = wrong(&ana.post("/assistants", body(&url)).await);
            assert_eq!(pointer, "/url", "{url}");
            assert!(detail.contains("does not call"), "{url}: {detail}");
        }
    }
    assert!(models.calls().is_empty(), "nothing was asked");

    let allowed = [public[0], public[1], ("assistants.allowed_networks", "127.0.0.0/8")];
    let server = TestServer::start_with(&allowed).await;
    let ana = server.person("Ana").await;
    connect(&ana, body(&format!("http://127.0.0.1:{}/v1", models.port))).await;
}

#[tokio::test]
async fn who_may_not_host_sees_the_assistants_and_connects_none() {
    let models = Models::start(Speaks::Ollama, None).await;
    let settings =
        [("hosting", "everyone"), ("public_url", "https://r.example"), ("assistants.probe", &models.address())];
    let server = TestServer::start_with(&settings).await;
    let (ana, session) = server.session().await;
    let link = ana.link(&session, json!({"role": "collaborator"})).await;
    let joined = server.stranger().post("/join", json!({"link": link, "display_name": "Gus"})).await.ok();
    let token = joined["token"].as_str().expect("a token").to_owned();
    let gus = Person { token: Some(token), ..server.stranger() };
    let listed = list(&gus).await;
    assert_eq!((&listed["found"], &listed["can_connect"]), (&json!([]), &json!(false)));
    assert_eq!(listed["assistants"][0]["name"], "guide");
    let body = json!({"found_id": format!("local-{}", models.port), "model": "llama3.2"});
    gus.post("/assistants", body.clone()).await.problem("hosting_not_allowed");
    gus.post("/assistants/scan", json!({})).await.problem("hosting_not_allowed");
    gus.delete("/assistants/guide").await.problem("hosting_not_allowed");
    assert!(models.calls().is_empty(), "whoever may not connect does not make the server look");
    connect(&ana, body).await;
}

#[tokio::test]
async fn a_session_chooses_only_what_there_is_and_all_see_it() {
    let models = Models::start(Speaks::OpenAi, None).await;
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let mut bens = Socket::join(&server, &ben, &session, &["main"]).await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    let unknown = json!({"settings": {"assistant": "gpt-9"}});
    assert_eq!(wrong(&ana.patch(&path, unknown.clone()).await).0, "/settings/assistant");
    assert_eq!(wrong(&ana.post("/sessions", unknown).await).0, "/settings/assistant");
    let error = socket.command(&session, "session.change_settings", json!({"assistant": "gpt-9"})).await;
    assert_eq!(error["problem"]["code"], "invalid_field", "{error}");
    assert_eq!(error["problem"]["errors"][0]["pointer"], "/settings/assistant");
    let error = bens.command(&session, "session.change_settings", json!({"assistant": "gpt-9"})).await;
    assert_eq!(error["problem"]["code"], "forbidden", "who may not change settings is told that: {error}");

    let url = format!("http://{}/v1", models.address());
    let made =
        connect(&ana, json!({"provider": "openai_compatible", "url": url, "model": "big-model", "usual": false})).await;
    let ok = socket.command(&session, "session.change_settings", json!({"assistant": made["name"]})).await;
    assert_eq!(ok["type"], "ok", "{ok}");
    for socket in [&mut socket, &mut bens] {
        let changed = socket.event("session.settings_changed").await;
        assert_eq!(changed["data"]["settings"]["assistant"], made["name"], "{changed}");
    }
    ask(&mut socket, &session).await;
}

#[tokio::test]
async fn a_switch_lets_the_running_answer_end_with_the_old_assistant() {
    let mut model = Model::start(&["It begins "], true).await;
    let server = TestServer::start_with(&[("model.url", &model.url), ("model.name", "test-model")]).await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    socket.command(&session, "message.post", json!({"text": "go on and on", "ask": true})).await;
    let turn = socket.event("turn.started").await["data"]["turn"].clone();
    model.asked().await;
    assert_eq!(socket.until("delta").await["text"], "It begins ");
    choose(&ana, &session, "guide").await;
    socket.event("session.settings_changed").await;
    let ok = socket.command(&session, "turn.stop", json!({"turn": turn})).await;
    assert_eq!(ok["type"], "ok", "it was still running: {ok}");
    model.let_go().await;
    assert_eq!(socket.event("turn.stopped").await["data"]["length"], 10);
    socket.unread();
    let (started, _) = ask(&mut socket, &session).await;
    assert_eq!(started["data"]["label"], "Guide - not an AI model");
}

#[tokio::test]
async fn what_was_disconnected_is_said_in_the_sessions_that_still_name_it() {
    let models = Models::start(Speaks::OpenAi, None).await;
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let url = format!("http://{}/v1", models.address());
    let made = connect(&ana, json!({"provider": "openai_compatible", "url": url, "model": "big-model"})).await;
    let session = ana.session().await;
    let path = format!("/assistants/{}", name(&made));
    ana.delete(&path).await.no_content();
    ana.delete(&path).await.problem("assistant_not_found");
    ana.delete("/assistants/guide").await.problem("assistant_fixed");
    ana.delete("/assistants/model").await.problem("assistant_not_found");
    assert_eq!(ana.get("/me").await.ok()["assistant"], "guide", "the usual one is gone with it");
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    socket.command(&session, "message.post", json!({"text": "hello?", "ask": true})).await;
    let failed = socket.event("turn.failed").await;
    assert_eq!(failed["data"]["code"], "model_not_configured");
    assert!(failed["data"]["detail"].as_str().is_some_and(|text| text.contains("disconnected")), "{failed}");
    choose(&ana, &session, "guide").await;
    ask(&mut socket, &session).await;
}

#[tokio::test]
async fn a_key_that_left_the_environment_is_missed_in_words() {
    let models = Models::start(Speaks::Anthropic, Some(KEY)).await;
    let base = format!("http://{}", models.address());
    let server = TestServer::start_near(&[], &[("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_BASE_URL", &base)]).await;
    let ana = server.person("Ana").await;
    let made = connect(&ana, json!({"found_id": "key-anthropic", "model": "big-model"})).await;
    assert_eq!((&made["paid"], &made["local"]), (&json!(false), &json!(true)), "at a local address it costs nothing");
    let session = ana.session().await;
    let server = TestServer::start_in(server.stop().await, &[]).await;
    let ana = Person { base: server.base.clone(), ..ana };
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    socket.command(&session, "message.post", json!({"text": "hello?", "ask": true})).await;
    let failed = socket.event("turn.failed").await;
    assert_eq!(failed["data"]["code"], "model_refused_key");
    assert!(failed["data"]["detail"].as_str().is_some_and(|text| text.contains("ANTHROPIC_API_KEY")), "{failed}");
}

#[tokio::test]
async fn the_settings_can_name_any_provider() {
    let models = Models::start(Speaks::Anthropic, Some(KEY)).await;
    let url = format!("http://{}", models.address());
    let settings =
        [("model.provider", "anthropic"), ("model.url", url.as_str()), ("model.key", KEY), ("model.name", "big-model")];
    let server = TestServer::start_with(&settings).await;
    let (ana, session) = server.session().await;
    let model = list(&ana).await["assistants"][1].clone();
    assert_eq!(
        (&model["name"], &model["provider"], &model["usual"]),
        (&json!("model"), &json!("anthropic"), &json!(true))
    );
    ana.delete("/assistants/model").await.problem("assistant_fixed");
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    let (started, _) = ask(&mut socket, &session).await;
    assert_eq!(started["data"]["label"], "big-model");
}
