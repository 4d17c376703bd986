//! One attempt at one answer.
//!
//! Owns: the stream of `genai`, its time limits, what is read out of it. Must not know: whether this is the first try.
//! Invariant: when [`Shared::attempt`] returns, the HTTP call is over.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use genai::adapter::AdapterKind;
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatStream, ChatStreamEvent, ReasoningEffort, StopReason, StreamEnd,
};
use genai::resolver::AuthData;
use genai::{Headers, ModelIden, ServiceTarget};
use roundtable_protocol::model::{EndReason, Usage, UsageSource};
use serde_json::Value;
use tokio::time::Instant;
use tracing::Dispatch;

use super::Shared;
use super::fault::Fault;
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

/// What the raw frames say that the library does not pass on when a stream ends without `[DONE]`.
#[derive(Debug, Default)]
struct Frames {
    any: bool,
    finish: Option<String>,
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
                Ok(None) => return ended_without_word(&frames, progress),
                Err(_) if progress.started => return Err(Fault::silence(self.config.idle_timeout, false)),
                Err(_) => return Err(Fault::silence(self.config.first_token_timeout, true)),
            };
            match event {
                ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => continue,
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
        let frames = Arc::clone(frames);
        let mut options = ChatOptions::default()
            .with_capture_usage(true)
            .with_capture_tool_calls(true)
            // Sends nothing for this wire, but keeps the library from reading an effort out of a model's name
            // ("qwen-high" would be asked for as "qwen").
            .with_reasoning_effort(ReasoningEffort::Budget(0))
            .with_raw_frame_fn(move |_, frame| {
                let mut frames = frames.lock().unwrap_or_else(PoisonError::into_inner);
                if frame.data.is_empty() {
                    return;
                }
                frames.any = true;
                if frame.data.contains("\"finish_reason\"")
                    && let Some(json) = frame.json()
                    && let Some(reason) = json["choices"][0]["finish_reason"].as_str()
                {
                    frames.finish = Some(reason.to_owned());
                }
            });
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
            model: ModelIden::new(AdapterKind::OpenAI, format!("openai::{}", self.config.model)),
        }
    }
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

/// The body ended without `[DONE]`. Some servers never send it, so a finish reason counts as the end; without one the
/// connection was cut, even if it was closed politely.
fn ended_without_word(frames: &Mutex<Frames>, progress: &Progress) -> Result<TurnEnd, Fault> {
    let frames = frames.lock().unwrap_or_else(PoisonError::into_inner);
    match &frames.finish {
        Some(reason) if progress.text_bytes > 0 => {
            Ok(TurnEnd::Completed(end_reason(&StopReason::from(reason.clone()))))
        }
        Some(_) => Err(Fault::empty()),
        None if frames.any => Err(Fault::cut("the body ended without a finish reason")),
        None => Err(Fault::no_stream()),
    }
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
