//! What a session came to, in words: said when it has ended, by the assistant that answered in it.
//!
//! Owns: asking for it, by itself at the end and for whoever wants it, and keeping it until something in `main` changes. Must not know: HTTP. Invariants: it is words about
//! the log and never part of it, so what is erased from the log is erased from here by forgetting; one session is summarised
//! by one call at a time; only what the guide's and the models' turns may see reaches an assistant. Nothing with a price is
//! called that nobody has confirmed: what is not connected cannot be asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use roundtable_assistant::driver::PromptRejection;
use roundtable_assistant::{
    AgentEvent, AuthorKind, Driver, Failure, FailureCode, MainText, OpenSpec, Opened, TranscriptEntry, TurnEnd,
    TurnInput, guide,
};
use roundtable_hub::clock;
use roundtable_hub::config::Summarise;
use roundtable_protocol::model::{Participant, ParticipantKind, SessionState, Usage};
use roundtable_protocol::report::Report;
use roundtable_protocol::view::MessageView;
use roundtable_protocol::{
    Actor, Code, MessageId, ParticipantId, Problem, Rev, Role, Seq, SessionId, Stream, Timestamp, TurnId, UserId,
};
use roundtable_store::{StoreError, ViewKey, ViewSnapshot};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::assistants::GUIDE;
use crate::limits::lock;
use crate::state::App;

/// How many of the newest messages an assistant is given.
const MESSAGES: usize = 400;
/// What is longer is cut. Unit: bytes.
const LONGEST: usize = 8 * 1024;
/// How long an assistant may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many summaries are kept.
const MOST: usize = 1_000;
/// What an assistant is asked, in the name of whoever wants to read it.
const REQUEST: &str = "This session has ended. Summarise it for those who were in it and for those who were not: what it was \
     about, what was decided, what is still open and who wanted to do what. Say only what stands in the conversation. At most \
     150 words, plain sentences or a short list, no heading, in the language of the conversation.";
/// The code of a summary that cannot be made because the session's assistant is gone.
const MODEL_NOT_CONFIGURED: &str = "model_not_configured";

/// What a session came to, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// The words, as Markdown.
    pub text: String,
    /// Who put it so: what people see beside its answers.
    pub label: String,
    /// Whether it was put together by fixed rules, not by a model.
    pub by_rules: bool,
    /// When.
    pub made_at: Timestamp,
}

/// Why there is no summary; the report is whole without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SummaryFailure)]
pub struct NoSummary {
    /// A stable word, as of an answer that failed.
    pub code: String,
    /// In words, for people.
    pub detail: String,
}

/// The summaries that were made lately; the store has all of them.
#[derive(Debug, Default)]
pub struct Summaries(Mutex<HashMap<SessionId, Slot>>);

/// Locked while somebody makes it.
type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    /// The last seq of `main` that it is true for.
    head: Seq,
    summary: Summary,
}

impl Summaries {
    fn slot(&self, session: SessionId) -> Slot {
        let mut slots = lock(&self.0);
        if slots.len() >= MOST && !slots.contains_key(&session) {
            // Those that nobody is making now can be made again.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(session).or_default())
    }

    /// The session is gone.
    pub fn forget(&self, session: SessionId) {
        lock(&self.0).remove(&session);
    }
}

/// A session that has ended, and where it is said that its summary is over.
pub type Ended = (SessionId, oneshot::Sender<bool>);

/// Returns what rooms call when a session has ended, and where that arrives. Whoever does not take it in time is not waited
/// for: the room goes on without words.
pub fn at_the_end() -> (Summarise, mpsc::UnboundedReceiver<Ended>) {
    let (tell, ended) = mpsc::unbounded_channel::<Ended>();
    let summarise = move |session| {
        let (over, made) = oneshot::channel();
        let told = tell.send((session, over)).is_ok();
        async move { told && made.await.unwrap_or(false) }.boxed()
    };
    (Arc::new(summarise), ended)
}

/// Puts sessions in words as they end, until the server closes.
pub async fn run(app: App, mut ended: mpsc::UnboundedReceiver<Ended>) {
    loop {
        let next = tokio::select! {
            next = ended.recv() => next,
            () = app.closing.cancelled() => None,
        };
        let Some((session, over)) = next else { return };
        let app = app.clone();
        tokio::spawn(async move {
            let made = by_itself(&app, session).await;
            // The room has gone on without it.
            let _ = over.send(made);
        });
    }
}

/// Puts a session in words that has just ended, unless it is not recorded. Returns whether that is over: what an assistant
/// does not give now can be asked for later.
async fn by_itself(app: &App, session: SessionId) -> bool {
    let Ok(Some(entry)) = app.store.session(session).await else { return true };
    if !entry.info.settings.recording {
        return true;
    }
    match make(app, session, entry.info.owner_id).await {
        Ok(Ok(_)) => true,
        Ok(Err(no)) => {
            tracing::info!(session.id = %session, code = no.code, "an ended session could not be put in words");
            !app.closing.is_cancelled()
        }
        Err(problem) => {
            let code = problem.code.name();
            tracing::warn!(session.id = %session, code, "an ended session could not be put in words");
            !problem.retryable
        }
    }
}

/// Returns the summary that was made, if it is still true and nobody makes one now.
///
/// # Errors
/// The store cannot be read.
pub async fn made(app: &App, session: SessionId, head: Seq) -> Result<Option<Summary>, Problem> {
    let slot = app.summaries.slot(session);
    let Ok(mut held) = slot.try_lock() else { return Ok(None) };
    held_at(app, session, head, &mut held).await
}

/// Looks for a summary that is true for `head`: at hand, then in the store.
async fn held_at(
    app: &App,
    session: SessionId,
    head: Seq,
    held: &mut Option<Held>,
) -> Result<Option<Summary>, Problem> {
    if held.is_none() {
        let kept = app.store.view(session, ViewKey::Summary).await.map_err(unreadable)?;
        *held = kept.and_then(|kept| serde_json::from_slice(&kept.bytes).ok());
    }
    if held.as_ref().is_some_and(|held| held.head != head) {
        *held = None;
    }
    Ok(held.as_ref().map(|held| held.summary.clone()))
}

fn unreadable(error: StoreError) -> Problem {
    tracing::warn!(%error, "a summary could not be read");
    Problem::new(Code::Unavailable).retry_after_ms(1_000)
}

/// Returns the summary of an ended session, made now unless it was before.
///
/// # Errors
/// `not_found`; `illegal_transition` while the session goes on; the store cannot be read.
pub async fn make(app: &App, session: SessionId, user: UserId) -> Result<Result<Summary, NoSummary>, Problem> {
    let standing = app.manager.standing(session, user).await?;
    if !matches!(standing.info.state, SessionState::Completed | SessionState::Terminated) {
        return Err(Problem::new(Code::IllegalTransition)
            .with_detail("the session goes on; it is summarised once it has ended"));
    }
    let asker = standing.participant.ok_or_else(|| Problem::new(Code::NotAParticipant))?;
    let slot = app.summaries.slot(session);
    let mut held = slot.lock().await;
    let head = head(app, session, user).await?;
    if let Some(summary) = held_at(app, session, head, &mut held).await? {
        return Ok(Ok(summary));
    }
    // Taken before reading: the store drops a summary that may be older than the erasing of a text.
    let rev = app.store.head(session).await.map_err(unreadable)?.map_or(Rev::ZERO, |head| head.rev);
    let people: Vec<Participant> =
        app.manager.participants(session, user).await?.into_iter().map(|(who, _)| who).collect();
    let messages = app.manager.path(session, user, standing.info.conversation_id, None, MESSAGES).await?;
    let transcript: Vec<TranscriptEntry> =
        messages.into_iter().rev().filter_map(|one| entry(one.message, &people)).collect();
    let name = standing.info.settings.assistant;
    let made = if name == GUIDE || transcript.is_empty() {
        let report = app.manager.report(session, user).await?;
        Ok((by_rules(&report, &people), guide::LABEL.to_owned(), true))
    } else {
        let input = input(standing.info.title, transcript, &asker, &people);
        ask(app, session, &name, input).await.map(|(text, label)| (text, label, false))
    };
    let made = made.map(|(text, label, by_rules)| Summary { text, label, by_rules, made_at: clock::now() });
    if let Ok(summary) = &made {
        let new = Held { head, summary: summary.clone() };
        keep(app, session, rev, &new).await;
        *held = Some(new);
    }
    Ok(made)
}

async fn keep(app: &App, session: SessionId, rev: Rev, held: &Held) {
    let bytes = serde_json::to_vec(held).expect("summaries serialise: string keys, no failing parts").into();
    if let Err(error) = app.store.put_view(session, ViewKey::Summary, ViewSnapshot { rev, bytes }).await {
        tracing::warn!(session.id = %session, %error, "a summary cannot be kept and will be made again");
    }
}

/// Returns the last seq of `main`: whatever changes a word there moves it.
///
/// # Errors
/// `not_found`, or the store cannot be read.
pub async fn head(app: &App, session: SessionId, user: UserId) -> Result<Seq, Problem> {
    Ok(app.manager.events(session, user, Stream::Main, Seq(0), 1).await?.head)
}

fn entry(message: MessageView, people: &[Participant]) -> Option<TranscriptEntry> {
    let Actor::Participant(author) = message.author else { return None };
    let author = people.iter().find(|one| one.id == author)?;
    if message.redacted || message.text.is_empty() {
        return None;
    }
    Some(TranscriptEntry {
        message: message.id,
        participant: author.id,
        author_name: author.display_name.clone(),
        role: author.role,
        kind: if message.answer.is_some() { AuthorKind::Assistant } else { AuthorKind::Person },
        trusted: author.kind == ParticipantKind::User && author.role >= Role::Collaborator,
        at: message.at,
        text: MainText::from_stream(Stream::Main, message.text)?,
        attachments: Vec::new(),
    })
}

fn input(
    title: String,
    mut transcript: Vec<TranscriptEntry>,
    asker: &Participant,
    people: &[Participant],
) -> TurnInput {
    let assistant = people.iter().find(|one| one.kind == ParticipantKind::Agent);
    transcript.extend(MainText::from_stream(Stream::Main, REQUEST).map(|text| TranscriptEntry {
        message: MessageId::NIL,
        participant: asker.id,
        author_name: asker.display_name.clone(),
        role: asker.role,
        kind: AuthorKind::Person,
        trusted: true,
        at: clock::now(),
        text,
        attachments: Vec::new(),
    }));
    TurnInput {
        turn: TurnId::NIL,
        request: MessageId::NIL,
        session_title: title,
        assistant: assistant.map_or(ParticipantId::NIL, |one| one.id),
        assistant_name: assistant.map_or_else(|| "Assistant".to_owned(), |one| one.display_name.clone()),
        memories: Vec::new(),
        transcript,
    }
}

/// Lets the assistant of that name answer once. Returns its words and its label.
async fn ask(app: &App, session: SessionId, name: &str, input: TurnInput) -> Result<(String, String), NoSummary> {
    let gone = || NoSummary {
        code: MODEL_NOT_CONFIGURED.to_owned(),
        detail: "The assistant of this session is not connected any more.".to_owned(),
    };
    let driver = app.assistants.driver(name).ok_or_else(gone)?;
    let label = app.assistants.label(name);
    let running = app.calls.begin();
    let spec = OpenSpec { session, assistant: input.assistant };
    let answered = tokio::select! {
        answered = tokio::time::timeout(PATIENCE, listen(driver, spec, input)) => answered.unwrap_or_else(|_| Err(slow())),
        () = app.closing.cancelled() => Err(slow()),
    };
    drop(running);
    let provider = app.assistants.provider(name);
    match answered {
        Ok((text, usage)) => {
            app.calls.ended(provider, "completed", &usage);
            Ok((text, label))
        }
        Err(failure) => {
            app.calls.ended(provider, failure.code.name(), &Usage::default());
            Err(NoSummary { code: failure.code.name().to_owned(), detail: failure.message })
        }
    }
}

async fn listen(driver: Arc<dyn Driver>, spec: OpenSpec, input: TurnInput) -> Result<(String, Usage), Failure> {
    let Opened { mut session, mut events } = driver.open(spec).await?;
    let stop = CancellationToken::new();
    if let Err(PromptRejection::Busy) = session.prompt(input, stop.clone()).await {
        return Err(empty());
    }
    let (mut text, mut usage, mut end) = (String::new(), Usage::default(), None);
    while let Some(event) = events.recv().await {
        match event {
            AgentEvent::Text(piece) => {
                text.push_str(&piece);
                if text.len() > LONGEST {
                    stop.cancel();
                }
            }
            AgentEvent::Usage(used) => usage = used,
            AgentEvent::Unknown { .. } => {}
            AgentEvent::Ended(how) => {
                end = Some(how);
                break;
            }
        }
    }
    session.close().await;
    match end {
        Some(TurnEnd::Failed(failure)) => Err(failure),
        _ if text.trim().is_empty() => Err(empty()),
        _ => {
            text.truncate(text.floor_char_boundary(LONGEST));
            Ok((text.trim().to_owned(), usage))
        }
    }
}

fn slow() -> Failure {
    let message = "The assistant took too long to summarise the session.".to_owned();
    Failure { code: FailureCode::ModelTimedOut, message, retryable: true }
}

fn empty() -> Failure {
    let message = "The assistant said nothing about the session.".to_owned();
    Failure { code: FailureCode::ModelFailed, message, retryable: true }
}

/// Puts the figures into sentences: what fixed rules can say of a session.
fn by_rules(report: &Report, people: &[Participant]) -> String {
    let name = |id: ParticipantId| people.iter().find(|one| one.id == id).map(|one| one.display_name.as_str());
    let wrote = report.participants.iter().filter(|one| one.kind == ParticipantKind::User && one.messages > 0);
    let names: Vec<&str> = wrote.filter_map(|one| name(one.participant)).collect();
    let minutes = report.duration_ms / 60_000;
    let lasted = if minutes == 0 { "less than a minute".to_owned() } else { many(minutes, "minute", "minutes") };
    let mut said = vec![match names.as_slice() {
        [] => format!("Nobody wrote anything; the session lasted {lasted}."),
        [one] => format!("{one} wrote {} in {lasted}.", many(report.messages, "message", "messages")),
        [all @ .., last] => {
            format!("{} and {last} wrote {} in {lasted}.", all.join(", "), many(report.messages, "message", "messages"))
        }
    }];
    let turns = &report.turns;
    if turns.asked > 0 {
        let was = if turns.completed == 1 { "was" } else { "were" };
        let asked = many(turns.asked, "question", "questions");
        said.push(format!("Of {asked} to the assistant {} {was} answered whole.", turns.completed));
    }
    said.push(match report.decisions.len() as u64 {
        0 => "Nothing was marked as a decision.".to_owned(),
        1 => "One message is marked as a decision.".to_owned(),
        n => format!("{n} messages are marked as decisions."),
    });
    said.join(" ")
}

fn many(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
