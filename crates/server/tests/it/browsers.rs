//! What browsers are told, and what they may report.

use crate::support::{Answer, TestServer};

async fn get(server: &TestServer, path: &str) -> Answer {
    Answer::of(server.stranger().http.get(format!("{}{path}", server.base))).await
}

#[tokio::test]
async fn every_answer_tells_browsers_to_run_nothing_but_our_own_files() {
    let server = TestServer::start().await;
    for path in ["/", "/join", "/s/x", "/settings", "/api/v1/stats", "/api/v1/nothing", "/api/problems", "/healthz"] {
        let answer = get(&server, path).await;
        let policy = answer.header("content-security-policy");
        for rule in [
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "report-uri /api/csp-report",
        ] {
            assert!(policy.split(';').any(|part| part.trim() == rule), "{path} lacks {rule}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert!(answer.header("permissions-policy").contains("geolocation=()"), "{path}");
    }
}

#[tokio::test]
async fn our_own_documents_hold_no_script_and_no_style_of_their_own() {
    let server = TestServer::start().await;
    for path in ["/", "/settings", "/api/problems"] {
        let text = get(&server, path).await.text.to_lowercase();
        let inline =
            text.split("<script").skip(1).any(|script| !script.split('>').next().unwrap_or("").contains("src="));
        assert!(!inline, "{path}");
        for word in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!text.contains(word), "{path} holds {word}");
        }
    }
}

#[tokio::test]
async fn what_the_page_has_not_is_not_found() {
    let server = TestServer::start().await;
    for path in ["/nothing", "/.vite/manifest.json", "/assets/../Cargo.toml", "/settingsx", "/wp-login.php"] {
        get(&server, path).await.problem("not_found");
    }
}

#[tokio::test]
async fn a_report_is_counted_and_a_flood_of_them_does_no_harm() {
    let server = TestServer::start().await;
    let report = |body: String| {
        let call = server.stranger().http.post(format!("{}/api/csp-report", server.base));
        Answer::of(call.header("content-type", "application/csp-report").body(body))
    };
    for n in 1..=20 {
        report(format!("{{\"csp-report\":{{\"blocked-uri\":\"inline {n}\"}}}}")).await.no_content();
    }
    report("nonsense".to_owned()).await.no_content();
    assert_eq!(server.server.app().reports.total(), 21);
    assert_eq!(report("x".repeat(100_000)).await.status, 413);
    assert_eq!(server.server.app().reports.total(), 21);
}
