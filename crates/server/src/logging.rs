//! What the log looks like.
//!
//! Owns: format, levels, targets that stay silent. Must not know: what is logged. Invariant: `docs/logging.md` says
//! what never gets into a line; libraries that log addresses, headers or bodies are silenced here whatever the filter
//! says.

use std::io::IsTerminal;

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

/// Starts the log of this process on standard error.
///
/// # Errors
/// The filter is none.
pub fn start(log: &Log) -> Result<(), ParseError> {
    let colours = std::io::stderr().is_terminal();
    // A second start, as in tests of the command line, keeps the first log.
    let _ = subscriber(log, colours, std::io::stderr)?.try_init();
    Ok(())
}

/// Makes what writes the log to `writer`.
///
/// # Errors
/// The filter is none.
pub fn subscriber<W>(
    log: &Log,
    colours: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, ParseError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.filter)?).with_writer(writer);
    Ok(match log.format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    let mut filter = EnvFilter::try_new(directives)?;
    for (target, level) in SILENCED {
        filter = filter.add_directive(format!("{target}={level}").parse()?);
    }
    Ok(filter)
}
