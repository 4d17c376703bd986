//! Secrets are shown nowhere.

use std::io;
use std::sync::{Arc, Mutex};

use roundtable_assistant::{Driver, ModelDriver, Secret};
use tracing_subscriber::fmt::MakeWriter;

use crate::endpoint::{Endpoint, Script, delta};
use crate::model::{KEY, config, run};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("not poisoned")).into_owned()
    }
}

/// Everything is logged at the finest level, also what the other tests of this binary do meanwhile. Globally, because
/// `tracing` caches "nobody listens" for a log line that another thread meets first.
#[tokio::test]
async fn the_key_and_the_credentials_of_the_url_are_in_no_message_and_no_log() {
    let logs = Captured::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(logs.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only test that captures");
    let echo = format!(r#"{{"error":{{"message":"no such key {KEY}, seen canary-query from canary-password"}}}}"#);
    let error_frame = format!(r#"{{"error":{{"message":"bad {KEY}"}}}}"#);
    let mut shown = String::new();
    for script in [
        Some(Script::status("401 Unauthorized", "", &echo)),
        Some(Script::status("500 Internal Server Error", "", &echo)),
        Some(Script::status("302 Found", "location: http://127.0.0.1:9/\r\n", &echo)),
        Some(Script::stream(vec![delta("x")]).then_cut()),
        Some(Script::stream(vec![error_frame])),
        None,
    ] {
        let endpoint = Endpoint::start(script.into_iter().collect()).await;
        let mut config = config(&endpoint);
        let host = endpoint.origin.trim_start_matches("http://").to_owned();
        config.base_url = Secret::new(format!("http://canary-user:canary-password@{host}/v1?token=canary-query"));
        let driver = ModelDriver::new(config.clone()).expect("a valid configuration");
        assert_eq!(driver.endpoint(), endpoint.origin);
        shown.push_str(&format!("{config:?} {driver:?} {:?}", run(config.clone()).await));
        drop(endpoint);
        shown.push_str(&format!("{:?}", driver.probe().await));
    }
    let logs = logs.text();
    assert!(logs.contains("model_refused_key") && logs.contains("the model's endpoint failed"), "the capture works");
    assert!(logs.contains("[redacted]"), "the foreign text was logged, redacted");
    for secret in [KEY, "canary"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
        let line = logs.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
}
