//! What the log looks like.
//!
//! Owns: format, levels, targets that stay silent. Must not know: what is logged. Invariant: `docs/logging.md` says
//! what never gets into a line; libraries that log addresses, headers or bodies are silenced here whatever the filter
//! says.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{Log, LogFormat};

/// Libraries that show URLs, headers, bodies or SQL at some level, and the most that each may say.
const SILENCED: &[(&str, &str)] = &[
    ("genai", "off"),
    ("hyper", "off"),
    ("hyper_util", "off"),
    ("reqwest", "off"),
    ("rustls", "off"),
    ("h2", "off"),
    ("tungstenite", "off"),
    ("tokio_tungstenite", "off"),
    ("tower_http", "off"),
    ("axum", "off"),
];

/// Changes what is logged while the process runs.
#[derive(Clone)]
pub struct LogSwitch(Arc<dyn Fn(EnvFilter) -> bool + Send + Sync>);

impl LogSwitch {
    /// Logs by `directives` from now on; false when the log is gone.
    ///
    /// # Errors
    /// The directives are none.
    pub fn set(&self, directives: &str) -> Result<bool, ParseError> {
        Ok((self.0)(filter(directives)?))
    }
}

impl fmt::Debug for LogSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSwitch")
    }
}

/// Starts the log of this process on standard error.
///
/// # Errors
/// The filter is none.
pub fn start(log: &Log) -> Result<LogSwitch, ParseError> {
    let colours = std::io::stderr().is_terminal();
    let (subscriber, switch) = subscriber(log, colours, std::io::stderr)?;
    // A second start, as in tests of the command line, keeps the first log.
    let _ = subscriber.try_init();
    Ok(switch)
}

/// Makes what writes the log to `writer`, and what changes it later.
///
/// # Errors
/// The filter is none.
pub fn subscriber<W>(
    log: &Log,
    colours: bool,
    writer: W,
) -> Result<(Box<dyn tracing::Subscriber + Send + Sync>, LogSwitch), ParseError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(&log.filter)?;
    let builder = tracing_subscriber::fmt().with_writer(writer);
    Ok(match log.format {
        LogFormat::Text => {
            let builder = builder.with_ansi(colours).with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            let switch = LogSwitch(Arc::new(move |filter| handle.reload(filter).is_ok()));
            (Box::new(builder.finish()), switch)
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            let switch = LogSwitch(Arc::new(move |filter| handle.reload(filter).is_ok()));
            (Box::new(builder.finish()), switch)
        }
    })
}

fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    let mut filter = EnvFilter::try_new(directives)?;
    for (target, level) in SILENCED {
        filter = filter.add_directive(format!("{target}={level}").parse()?);
    }
    Ok(filter)
}
