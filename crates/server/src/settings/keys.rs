//! Every setting with its default and its meaning.

use std::fmt::Write;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, with dots as in TOML tables.
    pub name: &'static str,
    /// Its default as text; empty: not set.
    pub default: &'static str,
    /// Whether it holds several values.
    pub list: bool,
    /// The flag of `roundtable serve` that sets it.
    pub flag: Option<&'static str>,
    /// What it does; one line of Markdown.
    pub means: &'static str,
}

impl Key {
    /// Returns the environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("ROUNDTABLE_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

const fn key(name: &'static str, default: &'static str, means: &'static str) -> Key {
    Key { name, default, list: false, flag: None, means }
}

const fn list(name: &'static str, default: &'static str, means: &'static str) -> Key {
    Key { name, default, list: true, flag: None, means }
}

const fn with_flag(flag: &'static str, key: Key) -> Key {
    Key { flag: Some(flag), ..key }
}

/// Every setting.
pub const KEYS: &[Key] = &[
    with_flag(
        "--listen",
        key(
            "listen",
            "127.0.0.1:8080",
            "Address and port to listen on. Port 0 takes a free one; the address that was taken is printed.",
        ),
    ),
    with_flag("--data", key("data", "./data", "The data folder. One server uses it at a time.")),
    with_flag(
        "--public-url",
        key(
            "public_url",
            "",
            "The address at which people reach the server, such as `https://roundtable.example`. Links use it; without it they use the address at which the page was opened.",
        ),
    ),
    with_flag(
        "--allowed-host",
        list(
            "allowed_hosts",
            "",
            "Host names that the server answers to, besides its own addresses, `localhost` and the host of `public_url`. Requests for other names get 421 `wrong_host`.",
        ),
    ),
    with_flag(
        "--trusted-proxy",
        list(
            "trusted_proxies",
            "",
            "Addresses or ranges of proxies whose `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are believed. From all others these headers are ignored.",
        ),
    ),
    with_flag(
        "--tls-cert",
        key(
            "tls_cert",
            "",
            "A file with the certificate chain in PEM form; with it and `tls_key` the server itself speaks HTTPS. Read once, at the start.",
        ),
    ),
    with_flag("--tls-key", key("tls_key", "", "A file with the certificate's private key in PEM form.")),
    with_flag(
        "--hosting",
        key(
            "hosting",
            "auto",
            "Who may start sessions. `auto`: everybody while the server listens on loopback only and has neither `public_url` nor a trusted proxy, else nobody. `everyone`: everybody who opened the page, but not guests who came by a link. `nobody`: nobody.",
        ),
    ),
    key("shutdown_timeout_ms", "10000", "How long open requests may take to end after SIGTERM or SIGINT."),
    key("log.format", "text", "`text` for people, `json` for programs. The log goes to standard error."),
    key(
        "log.filter",
        "info",
        "What is logged: a level, or levels by target as in `info,roundtable_hub=debug`. Targets that could show what people write stay silent.",
    ),
    key(
        "metrics.token",
        "",
        "Who sends this as `Authorization: Bearer` may read `/metrics` from anywhere. Without it only callers on the server's own machine may.",
    ),
    key(
        "model.provider",
        "",
        "What the model's endpoint speaks: `openai_compatible` (chat completions; what is meant when nothing is set), `openai`, `anthropic` (messages) or `ollama` (its own chat).",
    ),
    key(
        "model.url",
        "",
        "Where the model is, such as `http://127.0.0.1:11434/v1` (chat completions: up to and with `/v1`). May be left out for `openai`, `anthropic` and `ollama`. Without a model the Guide answers, which is not one; people who may start sessions can also connect models in the page.",
    ),
    key("model.key", "", "The key that the endpoint wants, if it wants one."),
    key("model.name", "", "What the endpoint calls the model; needed beside `model.url` or `model.provider`."),
    key(
        "model.context_tokens",
        "16000",
        "The longest prompt, in estimated tokens, for models that people connect as well. What does not fit is left out, oldest first.",
    ),
    key("model.max_output_tokens", "0", "The longest answer to ask for, in tokens. 0: the endpoint's own limit."),
    key(
        "model.first_token_timeout_ms",
        "300000",
        "How long to wait for the first token; local models load in this time.",
    ),
    key("model.idle_timeout_ms", "60000", "How long the model may pause between two tokens."),
    list(
        "assistants.probe",
        "127.0.0.1:11434,127.0.0.1:1234,127.0.0.1:8080,127.0.0.1:8000",
        "Addresses of this machine at which a model server is looked for when somebody opens \"Connect a model\" (Ollama, LM Studio, llama.cpp, vLLM); only loopback. `OLLAMA_HOST` takes the place of the first. Empty: none.",
    ),
    list(
        "assistants.allowed_networks",
        "",
        "Addresses or ranges that are not public and at which people may connect models of their own although others can reach this server. Without it such models must be at public addresses and speak HTTPS.",
    ),
    key("limits.connections", "20000", "Open connections of all callers together. 0: without limit."),
    key(
        "limits.sockets_per_address",
        "200",
        "Open WebSockets and event streams of one address (IPv6: of one /64). 0: without limit.",
    ),
    key("limits.body_bytes", "1048576", "The largest body of a request. More: 413 `body_too_large`."),
    key("limits.body_timeout_ms", "15000", "How long a body may take to arrive. Longer: 408 `request_timeout`."),
    key(
        "limits.header_timeout_ms",
        "10000",
        "How long the head of a request may take to arrive; also how long an idle connection is kept.",
    ),
    key("limits.hello_timeout_ms", "10000", "How long a WebSocket may take to say `hello`. Longer: closed with 4408."),
    key(
        "limits.write_timeout_ms",
        "20000",
        "How long one write to a WebSocket may take before the reader is given up.",
    ),
    key(
        "limits.commands_per_second",
        "50",
        "Commands a second of one WebSocket. More: `rate_limited`. 0: without limit.",
    ),
    key("limits.commands_burst", "100", "How many commands may come at once."),
    key(
        "limits.requests_per_second",
        "100",
        "REST calls a second of one login, or of one address without a login. More: 429 `rate_limited`. 0: without limit.",
    ),
    key("limits.requests_burst", "200", "How many REST calls may come at once."),
    key(
        "limits.guests_per_second",
        "5",
        "New logins a second of one address. More: 429 `rate_limited`. 0: without limit.",
    ),
    key("limits.guests_burst", "50", "How many new logins may come at once."),
    key(
        "limits.session_events",
        "1000000",
        "How many events one session may hold. More messages and questions: 507 `session_storage_full`; leaving, erasing and ending stay possible.",
    ),
    key(
        "limits.session_queue",
        "4096",
        "How many commands may wait before one session. More: 503 `overloaded`; other sessions do not notice.",
    ),
    key(
        "limits.turn_timeout_ms",
        "1800000",
        "How long one answer may take. Longer: it fails as `turn_timeout`; what it has said stays.",
    ),
];

/// Returns the setting of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Returns `docs/configuration.md`.
pub fn document() -> String {
    let mut text = String::from(HEAD);
    for key in KEYS {
        let default = match key.default {
            "" => "not set".to_owned(),
            values if key.list => format!("`{}`", values.replace(',', "`, `")),
            value => format!("`{value}`"),
        };
        let flag = key.flag.map(|flag| format!(", flag `{flag}`")).unwrap_or_default();
        let list =
            if key.list { " A list; in the environment separated by commas, as flag given several times." } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## `{}`\n\n{}{list}\n\nDefault {default}; variable `{}`{flag}.\n",
            key.name,
            key.means,
            key.variable()
        );
    }
    text
}

const HEAD: &str = "# Configuration

Nothing has to be set. A setting is taken from the first of these that has it:

1. a flag of `roundtable serve`,
2. an environment variable,
3. the TOML file: `roundtable.toml` in the folder that the server is started in, or the one that `--config` names,
4. its default.

An unknown key or variable, or a value of the wrong shape, stops the start and says where it stands. In the file a
name with a dot is a key in a table:

```toml
listen = \"127.0.0.1:9000\"
allowed_hosts = [\"roundtable.lan\"]

[model]
url = \"http://127.0.0.1:11434/v1\"
name = \"llama3.2\"
```

This page is made from the list in `crates/server/src/settings/keys.rs`; a test holds the two together.
";
