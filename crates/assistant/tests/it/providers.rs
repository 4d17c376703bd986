//! The rules of the model driver on every wire: chat completions, Anthropic's messages, Ollama's chat.

use std::time::Duration;

use roundtable_assistant::model::Listed;
use roundtable_assistant::{Driver, FailureCode, ModelConfig, ModelDriver, Provider, Secret, TurnEnd};
use roundtable_protocol::model::{EndReason, Usage, UsageSource};
use serde_json::json;

use crate::endpoint::{Endpoint, Script, delta, line, message_start, text_delta};
use crate::model::{KEY, config, run, run_until};

/// A configuration for that wire.
fn config_of(provider: Provider, endpoint: &Endpoint) -> ModelConfig {
    let base = match provider {
        Provider::OpenAi | Provider::OpenAiCompatible => format!("{}/v1", endpoint.origin),
        Provider::Anthropic | Provider::Ollama => endpoint.origin.clone(),
    };
    ModelConfig { provider, base_url: Secret::new(base), ..config(endpoint) }
}

fn answer(provider: Provider, words: &[&str]) -> Script {
    match provider {
        Provider::OpenAi | Provider::OpenAiCompatible => Script::answer(words),
        Provider::Anthropic => Script::messages(words, "end_turn"),
        Provider::Ollama => Script::lines(words, "stop"),
    }
}

/// An answer that has begun and not ended.
fn begun(provider: Provider, words: &[&str]) -> Script {
    match provider {
        Provider::OpenAi | Provider::OpenAiCompatible => Script::stream(words.iter().map(|word| delta(word)).collect()),
        Provider::Anthropic => {
            Script::messages_of([message_start()].into_iter().chain(words.iter().map(|w| text_delta(w))).collect())
        }
        Provider::Ollama => Script::lines_of(words.iter().map(|word| line(word)).collect()),
    }
}

fn code(end: &TurnEnd) -> FailureCode {
    match end {
        TurnEnd::Failed(failure) => failure.code,
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[tokio::test]
async fn every_wire_streams_an_answer_and_says_what_was_used() {
    for provider in Provider::ALL.iter().copied() {
        let mut endpoint = Endpoint::start(vec![answer(provider, &["Hel", "lo ", "wörld"])]).await;
        let outcome = run(config_of(provider, &endpoint)).await;
        assert_eq!(outcome.text, "Hello wörld", "{provider:?}");
        assert_eq!(outcome.end, TurnEnd::Completed(EndReason::EndTurn), "{provider:?}");
        let reported = |input_uncached, cache_read, cache_write, reasoning| Usage {
            input_uncached,
            cache_read,
            cache_write,
            output: 14,
            reasoning,
            source: UsageSource::Reported,
        };
        let expected = match provider {
            Provider::OpenAi | Provider::OpenAiCompatible => reported(40, 60, 0, 5),
            Provider::Anthropic => reported(30, 60, 10, 0),
            Provider::Ollama => reported(100, 0, 0, 0),
        };
        assert_eq!(outcome.usage, Some(expected), "{provider:?}");
        let (head, body) = endpoint.request().await;
        let (path, key) = match provider {
            Provider::OpenAi | Provider::OpenAiCompatible => {
                ("/v1/chat/completions", format!("authorization: bearer {KEY}"))
            }
            Provider::Anthropic => ("/v1/messages", format!("x-api-key: {KEY}")),
            Provider::Ollama => ("/api/chat", format!("authorization: bearer {KEY}")),
        };
        assert!(head.starts_with(&format!("post {path} http/1.1")), "{head}");
        assert!(head.contains(&key), "{head}");
        assert_eq!(head.contains("anthropic-version: "), provider == Provider::Anthropic, "{head}");
        assert_eq!(body["stream"], true);
        let system = match provider {
            Provider::Anthropic => body["system"].to_string(),
            _ => body["messages"][0]["content"].to_string(),
        };
        assert!(system.contains("an AI assistant in a live session"), "{body}");
        assert!(body.to_string().contains("<rt-message from=\\\"Ana\\\""), "{body}");
    }
}

#[tokio::test]
async fn a_models_name_is_sent_as_it_is_on_every_wire() {
    for provider in Provider::ALL.iter().copied() {
        for name in ["qwen3-high", "org/model::tag", "claude-x-low", "llama3.2:latest"] {
            let mut endpoint = Endpoint::start(vec![answer(provider, &["ok"])]).await;
            run(ModelConfig { model: name.to_owned(), ..config_of(provider, &endpoint) }).await;
            let (_, body) = endpoint.request().await;
            assert_eq!(body["model"], name, "{provider:?}");
            for field in ["reasoning_effort", "thinking", "think", "output_config"] {
                assert!(body.get(field).is_none(), "{provider:?} {body}");
            }
        }
    }
}

#[tokio::test]
async fn a_stop_closes_the_call_on_every_wire_and_books_an_estimate() {
    for provider in Provider::ALL.iter().copied() {
        let mut endpoint = Endpoint::start(vec![begun(provider, &["one ", "two "]).then_silence()]).await;
        let outcome = run_until(config_of(provider, &endpoint), 2).await;
        assert_eq!((outcome.text.as_str(), outcome.end), ("one two ", TurnEnd::Stopped), "{provider:?}");
        assert_eq!(outcome.usage.map(|usage| usage.source), Some(UsageSource::Estimated), "{provider:?}");
        endpoint.request().await;
        endpoint.closed().await;
    }
}

#[tokio::test]
async fn a_cut_keeps_the_text_and_is_not_tried_again_on_any_wire() {
    for provider in Provider::ALL.iter().copied() {
        for script in [begun(provider, &["par", "tial"]).then_cut(), begun(provider, &["par", "tial"])] {
            let mut endpoint = Endpoint::start(vec![script, answer(provider, &["second"])]).await;
            let outcome = run(config_of(provider, &endpoint)).await;
            assert_eq!(outcome.text, "partial", "{provider:?}");
            assert_eq!(code(&outcome.end), FailureCode::ModelFailed, "{provider:?}");
            assert_eq!(outcome.usage.map(|usage| usage.source), Some(UsageSource::Estimated), "{provider:?}");
            assert_eq!(endpoint.further_requests(), 1, "{provider:?}");
        }
    }
}

#[tokio::test]
async fn silence_times_out_on_every_wire() {
    for provider in Provider::ALL.iter().copied() {
        let mut endpoint = Endpoint::start(vec![begun(provider, &["so far"]).then_silence()]).await;
        let mut config = config_of(provider, &endpoint);
        config.idle_timeout = Duration::from_millis(60);
        let outcome = run(config).await;
        assert_eq!((outcome.text.as_str(), code(&outcome.end)), ("so far", FailureCode::ModelTimedOut), "{provider:?}");
        endpoint.request().await;
        endpoint.closed().await;
    }
}

#[tokio::test]
async fn a_limit_before_the_first_token_is_tried_again_on_every_wire() {
    for provider in Provider::ALL.iter().copied() {
        let limited = Script::status("429 Too Many Requests", "retry-after-ms: 1\r\n", "{}");
        let mut endpoint = Endpoint::start(vec![limited, answer(provider, &["second time"])]).await;
        assert_eq!(run(config_of(provider, &endpoint)).await.text, "second time", "{provider:?}");
        assert_eq!(endpoint.further_requests(), 2);
    }
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_model_have_their_words_on_every_wire() {
    for provider in Provider::ALL.iter().copied() {
        let refused = Script::status("401 Unauthorized", "", r#"{"error":{"type":"authentication_error"}}"#);
        let unknown = Script::status("404 Not Found", "", r#"{"error":"model 'x' not found, try pulling it first"}"#);
        let endpoint = Endpoint::start(vec![refused, unknown]).await;
        let config = config_of(provider, &endpoint);
        assert_eq!(code(&run(config.clone()).await.end), FailureCode::ModelRefusedKey, "{provider:?}");
        let TurnEnd::Failed(failure) = run(config).await.end else { panic!("fails") };
        assert!(failure.message.contains("model"), "{provider:?} {}", failure.message);
    }
}

#[tokio::test]
async fn reasons_of_an_end_are_told_apart() {
    for (provider, script, reason) in [
        (Provider::Anthropic, Script::messages(&["x"], "max_tokens"), EndReason::MaxTokens),
        (Provider::Anthropic, Script::messages(&["x"], "refusal"), EndReason::Refusal),
        (Provider::Ollama, Script::lines(&["x"], "length"), EndReason::MaxTokens),
        (Provider::Ollama, Script::lines(&["x"], "stop"), EndReason::EndTurn),
    ] {
        let endpoint = Endpoint::start(vec![script]).await;
        assert_eq!(run(config_of(provider, &endpoint)).await.end, TurnEnd::Completed(reason), "{provider:?}");
    }
}

#[tokio::test]
async fn an_error_inside_a_stream_fails_the_turn_and_an_overload_is_tried_again_before_the_first_token() {
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    for (before, requests, text) in
        [(vec![], 2, "second"), (vec![message_start(), text_delta("partial")], 1, "partial")]
    {
        let script = Script::messages_of(before.into_iter().chain([overloaded.clone()]).collect());
        let mut endpoint = Endpoint::start(vec![script, Script::messages(&["second"], "end_turn")]).await;
        assert_eq!(run(config_of(Provider::Anthropic, &endpoint)).await.text, text);
        assert_eq!(endpoint.further_requests(), requests);
    }
    let broken =
        Script::lines_of(vec![line("par"), json!({"error": "an error was encountered while running the model"})]);
    let endpoint = Endpoint::start(vec![broken]).await;
    let outcome = run(config_of(Provider::Ollama, &endpoint)).await;
    let TurnEnd::Failed(failure) = outcome.end else { panic!("fails") };
    assert_eq!(
        (outcome.text.as_str(), failure.message.as_str()),
        ("par", "The model's endpoint broke off with an error.")
    );
}

#[tokio::test]
async fn reasoning_is_counted_and_not_shown() {
    let thinking = json!({"model": "m", "message": {"role": "assistant", "content": "", "thinking": "hm hm hm hm"}});
    let endpoint = Endpoint::start(vec![Script::lines_of(vec![thinking, line("yes")]).then_silence()]).await;
    let outcome = run_until(config_of(Provider::Ollama, &endpoint), 1).await;
    let usage = outcome.usage.expect("an estimate");
    assert_eq!((outcome.text.as_str(), usage.reasoning, usage.output), ("yes", 3, 4));
}

#[tokio::test]
async fn an_endpoint_says_which_models_it_has() {
    let openai = r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#;
    let ollama = r#"{"models":[{"name":"a"},{"name":"b"}]}"#;
    for (provider, body, path) in [
        (Provider::OpenAiCompatible, openai, "/v1/models"),
        (Provider::Anthropic, openai, "/v1/models"),
        (Provider::Ollama, ollama, "/api/tags"),
    ] {
        let scripts = vec![
            Script::status("200 OK", "", body),
            Script::status("404 Not Found", "", "{}"),
            Script::status("401 Unauthorized", "", "{}"),
        ];
        let mut endpoint = Endpoint::start(scripts).await;
        let driver = ModelDriver::new(config_of(provider, &endpoint)).expect("a valid configuration");
        assert_eq!(driver.list().await, Ok(Listed::Models(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(driver.list().await, Ok(Listed::NoList));
        assert_eq!(driver.list().await.expect_err("refused").code, FailureCode::ModelRefusedKey);
        let (head, _) = endpoint.request().await;
        assert!(head.starts_with(&format!("get {path} ")), "{head}");
    }
}

#[tokio::test]
async fn ollama_says_how_long_a_prompt_may_be() {
    let shown = r#"{"details":{},"model_info":{"general.architecture":"llama","llama.context_length":8192}}"#;
    let mut endpoint = Endpoint::start(vec![Script::status("200 OK", "", shown)]).await;
    let driver = ModelDriver::new(config_of(Provider::Ollama, &endpoint)).expect("a valid configuration");
    assert_eq!(driver.context_length().await, Some(8192));
    let (head, body) = endpoint.request().await;
    assert!(head.starts_with("post /api/show "), "{head}");
    assert_eq!(body["model"], "test-model");
}

#[tokio::test]
async fn a_name_that_leads_out_of_reach_is_never_connected_to() {
    let mut endpoint = Endpoint::start(vec![answer(Provider::OpenAiCompatible, &["reached"])]).await;
    let mut config = config(&endpoint);
    config.base_url = Secret::new(config.base_url.expose().replace("127.0.0.1", "localhost"));
    config.reach = roundtable_assistant::model::Reach::only(|address| !address.is_loopback());
    let driver = ModelDriver::new(config.clone()).expect("a name may lead anywhere");
    let failure = driver.probe().await.expect_err("out of reach");
    assert_eq!(failure.code, FailureCode::ModelUnreachable);
    let TurnEnd::Failed(failure) = run(config).await.end else { panic!("fails") };
    assert!(failure.message.contains("does not call"), "{}", failure.message);
    assert_eq!(endpoint.further_requests(), 0);
}
