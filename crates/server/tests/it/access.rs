//! Who may do what, from which site, under which host.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Answer, Person, Socket, TestServer};

fn by_cookie(person: &Person) -> (Person, String) {
    let cookie = format!("roundtable={}", person.token());
    (Person { token: None, ..person.clone() }, cookie)
}

#[tokio::test]
async fn a_cookie_counts_only_from_our_own_page() {
    let server = TestServer::start().await;
    let (page, cookie) = by_cookie(&server.person("Ana").await);
    let send = async |headers: &[(&'static str, &str)]| {
        let mut call = page.call(Method::POST, "/sessions").header("cookie", &cookie).json(&json!({}));
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        Answer::of(call).await
    };
    let own = server.base.clone();
    send(&[("sec-fetch-site", "same-origin")]).await.created();
    send(&[("origin", &own)]).await.created();
    send(&[]).await.problem("cross_site");
    for site in ["cross-site", "same-site", "none"] {
        send(&[("sec-fetch-site", site), ("origin", &own)]).await.problem("cross_site");
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", &own.replace("http", "https")] {
        send(&[("origin", origin)]).await.problem("cross_site");
    }
    let read = page.call(Method::GET, "/sessions").header("cookie", &cookie).header("sec-fetch-site", "cross-site");
    Answer::of(read).await.ok();
}

#[tokio::test]
async fn a_bearer_counts_from_anywhere() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let call = ana.call(Method::POST, "/sessions").header("origin", "http://elsewhere.example").json(&json!({}));
    Answer::of(call).await.created();
}

#[tokio::test]
async fn another_site_cannot_log_anybody_in() {
    let server = TestServer::start().await;
    let call = server.stranger().call(Method::POST, "/guests").header("origin", "http://evil.example");
    Answer::of(call.json(&json!({"display_name": "Eve"}))).await.problem("cross_site");
}

#[tokio::test]
async fn a_socket_by_cookie_comes_from_our_own_page() {
    let server = TestServer::start().await;
    let (_, cookie) = by_cookie(&server.person("Ana").await);
    let own = server.base.clone();
    let mut socket = Socket::dial(&server, &[("cookie", &cookie), ("origin", &own)]).await.expect("our own page");
    socket.send(json!({"type": "hello"})).await;
    socket.until("welcome").await;
    for headers in
        [vec![("cookie", cookie.as_str()), ("origin", "http://evil.example")], vec![("cookie", cookie.as_str())]]
    {
        let refused = Socket::dial(&server, &headers).await.map(|_| ()).expect_err("another site");
        assert!(refused.to_string().contains("403"), "{refused}");
    }
    let mut socket =
        Socket::dial(&server, &[("origin", "http://elsewhere.example")]).await.expect("no cookie to abuse");
    socket.send(json!({"type": "hello"})).await;
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn an_unknown_host_is_not_answered() {
    let server = TestServer::start_with(&[("allowed_hosts", "table.lan"), ("public_url", "https://r.example")]).await;
    let ask = async |host: &str| {
        let call = server.stranger().call(Method::GET, "/stats").header("host", host);
        Answer::of(call).await
    };
    for host in ["localhost:1", "127.0.0.1", "table.lan", "r.example", "[::1]"] {
        ask(host).await.ok();
    }
    for host in ["evil.example", "10.0.0.1", "table.lan.evil.example"] {
        assert_eq!(ask(host).await.problem("wrong_host")["status"], 421);
    }
}

#[tokio::test]
async fn over_https_the_cookie_is_bound_to_the_host() {
    let server = TestServer::start_with(&[
        ("trusted_proxies", "127.0.0.1"),
        ("hosting", "everyone"),
        ("allowed_hosts", "r.example"),
    ])
    .await;
    let stranger = server.stranger();
    let https = |call: reqwest::RequestBuilder| {
        call.header("x-forwarded-proto", "https").header("x-forwarded-host", "r.example")
    };
    let answer = Answer::of(https(stranger.call(Method::POST, "/guests")).json(&json!({"display_name": "Ana"}))).await;
    let token = answer.created()["token"].as_str().expect("a token").to_owned();
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-roundtable=") && cookie.contains("; Secure") && cookie.contains("Path=/;"),
        "{cookie}"
    );
    Answer::of(https(stranger.call(Method::GET, "/me")).header("cookie", format!("__Host-roundtable={token}")))
        .await
        .ok();
    let plain = https(stranger.call(Method::GET, "/me")).header("cookie", format!("roundtable={token}"));
    Answer::of(plain).await.problem("not_logged_in");
    let ana = Person { token: Some(token), ..stranger.clone() };
    let session = ana.session().await;
    let link = Answer::of(https(ana.call(Method::POST, &format!("/sessions/{session}/links")))).await.created();
    assert!(link["url"].as_str().expect("a URL").starts_with("https://r.example/join#"), "{link}");
}

#[tokio::test]
async fn only_who_may_host_starts_sessions() {
    let server = TestServer::start_with(&[("public_url", "https://r.example")]).await;
    let ana = server.person("Ana").await;
    assert_eq!(ana.get("/me").await.ok()["can_host"], false);
    ana.post("/sessions", json!({})).await.problem("hosting_not_allowed");
    let server = TestServer::start_with(&[("public_url", "https://r.example"), ("hosting", "everyone")]).await;
    let (ana, session) = server.session().await;
    let link = ana.post(&format!("/sessions/{session}/links"), json!({})).await.created();
    assert!(link["url"].as_str().expect("a URL").starts_with("https://r.example/join#"));
    let joined = server.stranger().post("/join", json!({"link": link["url"], "display_name": "Gus"})).await.ok();
    let guest = Person { token: joined["token"].as_str().map(str::to_owned), ..server.stranger() };
    guest.post("/sessions", json!({})).await.problem("hosting_not_allowed");
}

#[tokio::test]
async fn a_viewer_reads_and_writes_nothing() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let own = ana.let_in(&session, &ben, "viewer").await;
    let path = format!("/sessions/{session}");
    ben.get(&path).await.ok();
    ben.get(&format!("{path}/events")).await.ok();
    ben.get(&format!("{path}/participants")).await.ok();
    let message = ana.say(&session, "hello").await["id"].as_str().expect("an id").to_owned();
    for stream in ["main", "side"] {
        ben.post(&format!("{path}/messages"), json!({"text": "x", "stream": stream})).await.problem("forbidden");
    }
    ben.patch(&path, json!({"title": "mine"})).await.problem("forbidden");
    ben.delete(&path).await.problem("forbidden");
    ben.post(&format!("{path}/end"), json!({})).await.problem("forbidden");
    ben.post(&format!("{path}/links"), json!({})).await.problem("forbidden");
    ben.get(&format!("{path}/links")).await.problem("forbidden");
    ben.patch(&format!("{path}/participants/{own}"), json!({"role": "owner"})).await.problem("forbidden");
    ben.delete(&format!("{path}/messages/{message}")).await.problem("forbidden");
    for (name, data) in [
        ("turn.ask", json!({"message": message})),
        ("decision.record", json!({"message": message})),
        ("message.edit", json!({"message": message, "text": "x"})),
    ] {
        ben.post(&format!("{path}/commands"), json!({"name": name, "data": data})).await.problem("forbidden");
    }
    assert_eq!(ana.events(&session, "main").await.len(), 6, "four of the birth, Ben, one message");
}

#[tokio::test]
async fn a_stranger_gets_nothing_out_of_a_session() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let id = ana.say(&session, "x").await["id"].as_str().expect("an id").to_owned();
    let eve = server.person("Eve").await;
    let path = format!("/sessions/{session}");
    for tail in ["", "/events", "/live", "/pages/0", "/links", "/participants"] {
        eve.get(&format!("{path}{tail}")).await.problem("not_found");
    }
    for (tail, body) in [("/start", json!({})), ("/end", json!({})), ("/terminate", json!({})), ("/links", json!({}))] {
        eve.post(&format!("{path}{tail}"), body).await.problem("not_found");
    }
    for (tail, body) in [("/messages", json!({"text": "x"})), ("/commands", json!({"name": "session.end"}))] {
        let answer = eve.post(&format!("{path}{tail}"), body).await;
        assert!(answer.status.is_client_error(), "{tail}: {}", answer.text);
    }
    let erased = eve.delete(&format!("{path}/messages/{id}")).await;
    assert!(erased.status.is_client_error(), "{}", erased.text);
    eve.delete(&path).await.problem("not_found");
    assert_eq!(ana.events(&session, "main").await.len(), 5);
}

#[tokio::test]
async fn the_server_speaks_https_itself() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls");
    let (cert, key) = (format!("{folder}/cert.pem"), format!("{folder}/key.pem"));
    let server = TestServer::start_with(&[("tls_cert", &cert), ("tls_key", &key)]).await;
    assert!(server.server.urls()[0].starts_with("https://127.0.0.1:"));
    let base = server.base.replace("http://", "https://");
    // The certificate is signed by nobody; that a browser would ask is not what is tested.
    let http = reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let stranger = Person { http, base, ..server.stranger() };
    let answer = stranger.post("/guests", json!({"display_name": "Ana"})).await;
    let token = answer.created()["token"].as_str().expect("a token").to_owned();
    assert!(answer.header("set-cookie").starts_with("__Host-roundtable="), "{}", answer.header("set-cookie"));
    let ana = Person { token: Some(token), ..stranger };
    let session = ana.session().await;
    let link = ana.post(&format!("/sessions/{session}/links"), json!({})).await.created();
    assert!(link["url"].as_str().expect("a URL").starts_with("https://127.0.0.1:"), "{link}");
    let mut socket = Socket::dial_over(Box::new(over_tls(&server, &cert).await), &server, &[]).await.expect("a socket");
    socket.send(json!({"type": "hello", "token": ana.token()})).await;
    socket.until("welcome").await;
    socket.subscribe(&session, &["main"]).await;
    assert_eq!(socket.command(&session, "message.post", json!({"text": "x".repeat(60_000)})).await["type"], "ok");
    assert_eq!(socket.event("message.posted").await["seq"], 5);
    let plain = reqwest::get(format!("{}/healthz", server.base)).await;
    assert!(plain.is_err(), "plain HTTP is not answered");
}

async fn over_tls(server: &TestServer, cert: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cert).expect("a certificate")).expect("usable");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.server.address()).await.expect("connected");
    let name = "localhost".try_into().expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
}
