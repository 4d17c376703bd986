//! Hands owed turns to the assistants and their words back to the hub.
//!
//! Owns: one task per turn. Must not know: rooms, records. Invariants: only what the hub's
//! transcript of `main` holds reaches a driver, under the names that the server wrote; a turn that cannot be answered
//! fails with words that say what to do.

use std::sync::Arc;

use roundtable_assistant::driver::PromptRejection;
use roundtable_assistant::{
    AgentEvent, AuthorKind, Driver, EntryAttachment, MainText, MemoryEntry, OpenSpec, Opened, TranscriptEntry, TurnEnd,
    TurnInput,
};
use roundtable_hub::{TranscriptAttachment, TranscriptMemory, TranscriptMessage, TurnHandle, TurnWork};
use roundtable_protocol::model::{EndReason, Participant, ParticipantKind, Usage};
use roundtable_protocol::{MessageId, Role, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::assistants::{Assistants, MODEL};
use crate::metrics::ModelCalls;

/// The code of a turn whose session wants an assistant that this server has not.
const MODEL_NOT_CONFIGURED: &str = "model_not_configured";
/// The same for people, when somebody has disconnected it.
const DISCONNECTED: &str = "The assistant of this session has been disconnected. Choose another one in the session's \
     settings, or connect the model again.";
/// The same for people, when the configuration has none.
const MODEL_MISSING: &str = "This server has no model. Its administrator can connect one: set ROUNDTABLE_MODEL_URL and \
     ROUNDTABLE_MODEL_NAME (and ROUNDTABLE_MODEL_KEY if the endpoint wants a key), or the same under [model] in \
     roundtable.toml, and start the server again. The Guide answers without one: choose it in the session's settings.";

/// Answers turns until the hub is gone or `stop` is called; then running turns are cut and recorded as lost.
pub async fn run(
    assistants: Assistants,
    calls: Arc<ModelCalls>,
    mut work: mpsc::Receiver<TurnWork>,
    stop: CancellationToken,
) {
    let turns = TaskTracker::new();
    loop {
        let work = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            work = work.recv() => work,
        };
        let Some(work) = work else { break };
        let (driver, provider) = (assistants.driver(&work.driver), assistants.provider(&work.driver));
        turns.spawn(answer(driver, provider, Arc::clone(&calls), work, stop.clone()));
    }
    turns.close();
    turns.wait().await;
}

async fn answer(
    driver: Option<Arc<dyn Driver>>,
    provider: &'static str,
    calls: Arc<ModelCalls>,
    work: TurnWork,
    stop: CancellationToken,
) {
    let running = calls.begin();
    let (session, turn) = (work.session, work.turn);
    let missing = if work.driver == MODEL { MODEL_MISSING } else { DISCONNECTED };
    let spec = OpenSpec { session, assistant: work.assistant.id };
    let (input, handle) = input(work);
    let failed = |code: &str, message: &str| (End::Failed(code.to_owned(), message.to_owned()), Usage::default());
    let (end, usage) = match driver {
        None => {
            tracing::info!(session.id = %session, turn.id = %turn, code = MODEL_NOT_CONFIGURED, "a turn wants a model");
            failed(MODEL_NOT_CONFIGURED, missing)
        }
        Some(driver) => match driver.open(spec).await {
            Err(failure) => failed(failure.code.name(), &failure.message),
            Ok(opened) => {
                let ended = tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    ended = listen(opened, input, &handle) => ended,
                };
                ended.map_or_else(|| (End::Lost, Usage::default()), |(end, usage)| (End::of(end), usage))
            }
        },
    };
    // Counted before anybody is told, so that whoever has seen the end finds it in the figures.
    drop(running);
    calls.ended(provider, end.outcome(), &usage);
    match end {
        End::Completed(reason) => handle.complete(reason, usage).await,
        End::Failed(code, message) => handle.fail(&code, &message, usage).await,
        // Whoever stopped it has recorded that; what is lost is recorded when the handle goes.
        End::Stopped | End::Lost => drop(handle),
    }
}

/// How a turn is over for its driver.
enum End {
    Completed(EndReason),
    Failed(String, String),
    Stopped,
    Lost,
}

impl End {
    fn of(end: TurnEnd) -> Self {
        match end {
            TurnEnd::Completed(reason) => Self::Completed(reason),
            TurnEnd::Failed(failure) => Self::Failed(failure.code.name().to_owned(), failure.message),
            TurnEnd::Stopped => Self::Stopped,
        }
    }

    fn outcome(&self) -> &str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(code, _) => code,
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
}

/// Passes on what the driver says until the turn has ended. `None`: it never said how.
async fn listen(opened: Opened, input: TurnInput, handle: &TurnHandle) -> Option<(TurnEnd, Usage)> {
    let Opened { mut session, mut events } = opened;
    if let Err(PromptRejection::Busy) = session.prompt(input, handle.cancelled()).await {
        tracing::error!("a fresh conversation was busy; the turn is given up");
        return None;
    }
    let mut usage = Usage::default();
    let mut end = None;
    while let Some(event) = events.recv().await {
        match event {
            AgentEvent::Text(text) => handle.text(text).await,
            AgentEvent::Usage(used) => usage = used,
            AgentEvent::Unknown { what, raw } => {
                tracing::debug!(what, size_bytes = raw.to_string().len(), "the assistant said something unknown");
            }
            AgentEvent::Ended(how) => {
                end = Some(how);
                break;
            }
        }
    }
    session.close().await;
    end.map(|end| (end, usage))
}

fn input(work: TurnWork) -> (TurnInput, TurnHandle) {
    let request = work.transcript.iter().rev().find(|message| message.asks).map_or(MessageId::NIL, |m| m.id);
    let input = TurnInput {
        turn: work.turn,
        request,
        session_title: work.title,
        assistant: work.assistant.id,
        assistant_name: work.assistant.display_name,
        memories: work.memories.into_iter().filter_map(memory).collect(),
        transcript: work.transcript.into_iter().filter_map(entry).collect(),
    };
    (input, work.handle)
}

/// Returns a message as an entry; the server's own words are none.
fn entry(message: TranscriptMessage) -> Option<TranscriptEntry> {
    let author = message.author?;
    Some(TranscriptEntry {
        message: message.id,
        participant: author.id,
        role: author.role,
        kind: if message.answer { AuthorKind::Assistant } else { AuthorKind::Person },
        trusted: may_prompt(&author),
        author_name: author.display_name,
        at: message.at,
        text: MainText::from_stream(Stream::Main, message.text)?,
        attachments: message.attachments.into_iter().map(attached).collect(),
    })
}

fn memory(memory: TranscriptMemory) -> Option<MemoryEntry> {
    Some(MemoryEntry {
        participant: memory.author.id,
        trusted: may_prompt(&memory.author),
        author_name: memory.author.display_name,
        pinned: memory.pinned,
        text: MainText::from_stream(Stream::Main, memory.text)?,
    })
}

fn attached(file: TranscriptAttachment) -> EntryAttachment {
    EntryAttachment {
        name: file.attachment.name,
        media_type: file.attachment.media_type,
        size_bytes: file.attachment.size_bytes,
        text: file.text.and_then(|text| MainText::from_stream(Stream::Main, text)),
    }
}

/// Whoever may not prompt now is quoted, not obeyed, whatever they were when they wrote.
fn may_prompt(author: &Participant) -> bool {
    author.kind == ParticipantKind::User && author.role >= Role::Collaborator
}
