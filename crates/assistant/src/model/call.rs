//! One attempt at one answer.
//!
//! Owns: the stream of `genai`, its time limits, what is read out of it. Must not know: whether this is the first try.
//! Invariant: when [`Shared::attempt`] returns, the HTTP call is over.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatStream, ChatStreamEvent, RawFrameRef, StopReason, StreamEnd,
};
use genai::resolver::AuthData;
use genai::{Headers, ModelIden, ServiceTarget};
use roundtable_protocol::model::{EndReason, Usage, UsageSource};
use serde_json::Value;
use tokio::time::Instant;
use tracing::Dispatch;

use super::fault::Fault;
use super::{Provider, Shared};
use crate::driver::TurnEnd;
use crate::prompt::{Prompt, PromptRole};
use crate::turns::Outlet;

/// What came of a turn so far, over all attempts.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether a token has come: from here on nothing may be asked for again.
    pub(super) started: bool,
    /// How much of the answer has come. Unit: bytes.
    pub(super) text_bytes: usize,
    /// How much reasoning has come. Unit: bytes.
    pub(super) reasoning_bytes: usize,
    /// What the endpoint reported.
    pub(super) usage: Option<Usage>,
}

/// What the raw frames say that the library does not pass on.
#[derive(Debug, Default)]
struct Frames {
    any: bool,
    finish: Option<String>,
    error: Option<Value>,
}

impl Frames {
    fn see(&mut self, provider: Provider, frame: &RawFrameRef<'_>) {
        if frame.data.is_empty() {
            return;
        }
        self.any = true;
        // Most frames hold none of these words and are not parsed twice.
        let word = match provider {
            Provider::OpenAi | Provider::OpenAiCompatible => "\"finish_reason\"",
            Provider::Anthropic => "\"stop_reason\"",
            Provider::Ollama if frame.data.contains("\"error\"") => "\"error\"",
            Provider::Ollama => "\"done\"",
        };
        let Some(json) = Some(frame).filter(|frame| frame.data.contains(word)).and_then(|frame| frame.json()) else {
            return;
        };
        let reason = match provider {
            Provider::OpenAi | Provider::OpenAiCompatible => json["choices"][0]["finish_reason"].as_str(),
            Provider::Anthropic => json["delta"]["stop_reason"].as_str(),
            Provider::Ollama => {
                self.error = json.get("error").cloned().or(self.error.take());
                // Early versions end without a reason.
                (json["done"] == true).then(|| json["done_reason"].as_str().unwrap_or("stop"))
            }
        };
        self.finish = reason.map(str::to_owned).or(self.finish.take());
    }
}

impl Shared {
    /// Asks once and hands on what comes. An error means that this attempt failed.
    pub(super) async fn attempt(
        &self,
        prompt: &Prompt,
        progress: &mut Progress,
        outlet: &mut Outlet,
    ) -> Result<TurnEnd, Fault> {
        let stop = outlet.stop();
        let frames = Arc::new(Mutex::new(Frames::default()));
        let options = self.options(&frames);
        let mut deadline = Instant::now() + self.config.first_token_timeout;
        let opened = self.genai.exec_chat_stream(self.target(), request(prompt), Some(&options)).await;
        let mut stream = Muted(opened.map_err(|error| Fault::of_genai(&error, &self.endpoint))?.stream);
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(TurnEnd::Stopped),
                next = tokio::time::timeout_at(deadline, stream.next()) => next,
            };
            let event = match next {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Err(Fault::of_genai(&error, &self.endpoint)),
                Ok(None) => return self.ended_without_word(&frames, progress),
                Err(_) if progress.started => return Err(Fault::silence(self.config.idle_timeout, false)),
                Err(_) => return Err(Fault::silence(self.config.first_token_timeout, true)),
            };
            match event {
                ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => continue,
                // The library makes up an end when a connection to Ollama is cut.
                ChatStreamEvent::End(_) if self.config.provider == Provider::Ollama && !is_finished(&frames) => {
                    return self.ended_without_word(&frames, progress);
                }
                ChatStreamEvent::End(end) => return self.ended(end, progress, outlet).await,
                ChatStreamEvent::Chunk(chunk) => {
                    progress.text_bytes += chunk.content.len();
                    progress.started = true;
                    if outlet.text(chunk.content).await.is_err() {
                        return Ok(TurnEnd::Stopped);
                    }
                    if progress.text_bytes >= self.config.max_answer_bytes {
                        return Ok(TurnEnd::Completed(EndReason::MaxTokens));
                    }
                }
                ChatStreamEvent::ReasoningChunk(chunk) => progress.reasoning_bytes += chunk.content.len(),
                ChatStreamEvent::ThoughtSignatureChunk(_) | ChatStreamEvent::ToolCallChunk(_) => {}
            }
            progress.started = true;
            // Counted from here and not from before `text`: a reader that is behind is not the model's fault.
            deadline = Instant::now() + self.config.idle_timeout;
        }
    }

    async fn ended(&self, end: StreamEnd, progress: &mut Progress, outlet: &mut Outlet) -> Result<TurnEnd, Fault> {
        progress.usage = end.captured_usage.as_ref().and_then(usage);
        // No tools are offered yet; a model that calls one all the same is worth a record.
        let calls = end.captured_tool_calls().unwrap_or_default();
        let called = !calls.is_empty();
        for call in calls {
            outlet.unknown("tool_call", serde_json::to_value(call).unwrap_or(Value::Null)).await;
        }
        let reason = end.captured_stop_reason.as_ref().map_or(EndReason::EndTurn, end_reason);
        if reason == EndReason::EndTurn && progress.text_bytes == 0 && !called {
            return Err(Fault::empty());
        }
        Ok(TurnEnd::Completed(reason))
    }

    fn options(&self, frames: &Arc<Mutex<Frames>>) -> ChatOptions {
        let (frames, provider) = (Arc::clone(frames), self.config.provider);
        let mut options = ChatOptions::default()
            .with_capture_usage(true)
            .with_capture_tool_calls(true)
            .with_raw_frame_fn(move |_, frame| locked(&frames).see(provider, &frame));
        options.reasoning_effort = provider.effort();
        options.max_tokens = self.config.max_output_tokens;
        options
    }

    /// The library never learns the key: it stands in the HTTP client's default headers, marked sensitive.
    fn target(&self) -> ServiceTarget {
        let url = self.endpoint.chat.as_str();
        ServiceTarget {
            endpoint: genai::resolver::Endpoint::from_owned(url),
            auth: AuthData::RequestOverride { url: url.to_owned(), headers: Headers::default() },
            // With a namespace of our own in front, a "::" in the model's name stays part of the name.
            model: ModelIden::new(self.config.provider.adapter(), format!("model::{}", self.config.model)),
        }
    }

    /// The body ended without the word that ends an answer. Some servers never send it, so a reason counts as the end;
    /// without one the connection was cut, even if it was closed politely.
    fn ended_without_word(&self, frames: &Mutex<Frames>, progress: &Progress) -> Result<TurnEnd, Fault> {
        let frames = locked(frames);
        match (&frames.error, &frames.finish) {
            (Some(error), _) => Err(Fault::of_error_frame(error, &self.endpoint)),
            (None, Some(reason)) if progress.text_bytes > 0 => {
                Ok(TurnEnd::Completed(end_reason(&StopReason::from(reason.clone()))))
            }
            (None, Some(_)) => Err(Fault::empty()),
            (None, None) if frames.any => Err(Fault::cut("the body ended without a finish reason")),
            (None, None) => Err(Fault::no_stream(&self.endpoint)),
        }
    }
}

fn locked(frames: &Mutex<Frames>) -> MutexGuard<'_, Frames> {
    frames.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_finished(frames: &Mutex<Frames>) -> bool {
    locked(frames).finish.is_some()
}

fn request(prompt: &Prompt) -> ChatRequest {
    let messages = prompt
        .messages
        .iter()
        .map(|message| match message.role {
            PromptRole::User => ChatMessage::user(message.text.clone()),
            PromptRole::Assistant => ChatMessage::assistant(message.text.clone()),
        })
        .collect();
    ChatRequest::new(messages).with_system(prompt.system.clone())
}

fn end_reason(reason: &StopReason) -> EndReason {
    match reason {
        StopReason::MaxTokens(_) => EndReason::MaxTokens,
        StopReason::ContentFilter(_) => EndReason::Refusal,
        StopReason::Completed(_) | StopReason::StopSequence(_) | StopReason::ToolCall(_) | StopReason::Other(_) => {
            EndReason::EndTurn
        }
    }
}

/// Turns the library's figures, where the prompt includes what came from a cache, into parts that do not overlap.
fn usage(reported: &genai::chat::Usage) -> Option<Usage> {
    let count = |tokens: Option<i32>| tokens.map_or(0, |tokens| u64::try_from(tokens).unwrap_or(0));
    if reported.prompt_tokens.is_none() && reported.completion_tokens.is_none() {
        return None;
    }
    let prompt = reported.prompt_tokens_details.as_ref();
    let cache_read = count(prompt.and_then(|details| details.cached_tokens));
    let cache_write = count(prompt.and_then(|details| details.cache_creation_tokens));
    let output = count(reported.completion_tokens);
    let reasoning = count(reported.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens));
    Some(Usage {
        input_uncached: count(reported.prompt_tokens).saturating_sub(cache_read + cache_write),
        cache_read,
        cache_write,
        output,
        reasoning: reasoning.min(output),
        source: UsageSource::Reported,
    })
}

/// Silences what the library logs while it is polled: its error lines hold URLs with their query and the bodies of
/// error responses, which may repeat the key. What matters in them is logged by us, redacted. (`tracing` may remember
/// a line that it met first in here as unwanted for good; that costs debug lines of the HTTP stack, none of ours.)
struct Muted(ChatStream);

impl Stream for Muted {
    type Item = genai::Result<ChatStreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        tracing::dispatcher::with_default(&Dispatch::none(), || Pin::new(&mut self.0).poll_next(cx))
    }
}
