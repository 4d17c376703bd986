//! Branches: making, listing, changing, reading, comparing, merging.

use axum::extract::State;
use axum::response::Response;
use roundtable_hub::{Comparison, PathMessage};
use roundtable_protocol::branching::{Branch, MergeHow};
use roundtable_protocol::command::{BranchArchive, BranchCreate, BranchFocus, BranchMerge, BranchMove, BranchRename};
use roundtable_protocol::context::ContextComparison;
use roundtable_protocol::view::MessageView;
use roundtable_protocol::{BranchId, Code, Command, MessageId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, JsonOrNothing, Path, Query};
use crate::problem::ApiError;
use crate::routes::{Accepted, List, ListQuery, created, give};
use crate::state::App;

/// The branches of a session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BranchesBody {
    /// The branches, the main one first, archived ones among them.
    items: Vec<Branch>,
    /// The branch that whoever presents shows.
    focus: Option<BranchId>,
}

/// Changes of a branch; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BranchPatch {
    /// What it is called; 1 to 80 characters.
    name: Option<String>,
    /// Put it away, or take it out again.
    archived: Option<bool>,
    /// Its newest message from now on.
    head: Option<MessageId>,
    /// The newest message that the caller knows of; another one: `head_moved`.
    if_head: Option<MessageId>,
    /// True: show it to everybody.
    focus: Option<bool>,
}

/// A merge into the branch that the path names.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The branch whose messages come.
    from: BranchId,
    /// How.
    how: MergeHow,
    /// The newest message that the caller knows of; another one: `head_moved`.
    if_head: Option<MessageId>,
    /// Which messages are picked; 1 to 100.
    #[serde(default)]
    messages: Vec<MessageId>,
    /// The summary; absent: the assistant is asked for one.
    text: Option<String>,
    /// What the assistant is asked when it makes the summary.
    question: Option<String>,
}

/// A message on a branch's path.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PathMessageBody {
    /// The message.
    message: MessageView,
    /// The message that it follows; null: it begins the conversation.
    parent: Option<MessageId>,
    /// All messages that follow the same one, itself among them, oldest first.
    siblings: Vec<MessageId>,
}

impl From<PathMessage> for PathMessageBody {
    fn from(path: PathMessage) -> Self {
        let PathMessage { message, parent, siblings } = path;
        Self { message, parent, siblings }
    }
}

/// Which branches are compared.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CompareQuery {
    /// The first one.
    a: BranchId,
    /// The second one.
    b: BranchId,
}

/// Two branches beside each other.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ComparisonBody {
    /// The newest message that both have; null: none.
    ancestor: Option<MessageId>,
    /// What only the first one has, oldest first; at most the newest 200.
    only_a: Vec<MessageView>,
    /// What only the second one has, oldest first; at most the newest 200.
    only_b: Vec<MessageView>,
    /// How many messages only the first one has.
    count_a: usize,
    /// How many messages only the second one has.
    count_b: usize,
    /// How their contexts differ.
    context: ContextComparison,
}

/// Begins a branch, at the newest message, at a message or at a seq.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/branches", tag = "branches",
    params(("session_id" = SessionId, Path)), request_body = Option<BranchCreate>,
    responses((status = 201, description = "The branch", body = Branch)))]
pub async fn create(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<BranchCreate>,
) -> Result<Response, ApiError> {
    Ok(created(app.manager.branch(session, known.user.id, key.id, body).await?))
}

/// Lists the branches.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/branches", tag = "branches",
    params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "Branches", body = BranchesBody)))]
pub async fn list(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<BranchesBody>, ApiError> {
    let list = app.manager.branches(session, known.user.id).await?;
    Ok(axum::Json(BranchesBody { items: list.branches, focus: list.focus }))
}

/// Reads a branch.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/branches/{branch_id}", tag = "branches",
    params(("session_id" = SessionId, Path), ("branch_id" = BranchId, Path)),
    responses((status = 200, description = "The branch", body = Branch)))]
pub async fn get(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, branch)): Path<(SessionId, BranchId)>,
) -> Result<axum::Json<Branch>, ApiError> {
    Ok(axum::Json(app.manager.branch_of(session, known.user.id, branch).await?))
}

/// Renames a branch, puts it away or takes it out, moves its head, shows it to everybody: one command each, in the
/// order archived, head, name, focus.
#[utoipa::path(patch, path = "/api/v1/sessions/{session_id}/branches/{branch_id}", tag = "branches",
    params(("session_id" = SessionId, Path), ("branch_id" = BranchId, Path)), request_body = BranchPatch,
    responses((status = 200, description = "The branch", body = Branch)))]
pub async fn change(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, branch)): Path<(SessionId, BranchId)>,
    key: Key,
    Json(body): Json<BranchPatch>,
) -> Result<axum::Json<Branch>, ApiError> {
    let BranchPatch { name, archived, head, if_head, focus } = body;
    let commands = [
        archived.map(|archived| Command::BranchArchive(BranchArchive { branch, archived })),
        head.map(|head| Command::BranchMove(BranchMove { branch, head, if_head })),
        name.map(|name| Command::BranchRename(BranchRename { branch, name })),
        (focus == Some(true)).then_some(Command::BranchFocus(BranchFocus { branch })),
    ];
    for (n, command) in commands.into_iter().enumerate().filter_map(|(n, c)| Some((n as u64, c?))) {
        match give(&app.manager, session, known.user.id, key.part(n), command).await {
            Ok(_) => {}
            // What is so already is what was asked for.
            Err(problem) if problem.code == Code::AlreadyRecorded => {}
            Err(problem) => return Err(problem.into()),
        }
    }
    get(State(app), Caller(known), Path((session, branch))).await
}

/// Reads a branch's messages, the newest first, each with what it follows and what stands beside it.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/branches/{branch_id}/messages", tag = "branches",
    params(("session_id" = SessionId, Path), ("branch_id" = BranchId, Path), ListQuery),
    responses((status = 200, description = "Messages", body = List<PathMessageBody>)))]
pub async fn messages(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, branch)): Path<(SessionId, BranchId)>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<PathMessageBody>>, ApiError> {
    let limit = query.limit();
    let before = query.page(|text| text.parse::<u64>().ok())?;
    let path = app.manager.path(session, known.user.id, branch, before, limit + 1).await?;
    let items = path.into_iter().map(PathMessageBody::from).collect();
    Ok(axum::Json(List::cut(items, limit, |last: &PathMessageBody| last.message.n.to_string())))
}

/// Compares two branches: the newest message that both have, and what each has alone.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/branches/compare", tag = "branches",
    params(("session_id" = SessionId, Path), CompareQuery),
    responses((status = 200, description = "Both", body = ComparisonBody)))]
pub async fn compare(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<CompareQuery>,
) -> Result<axum::Json<ComparisonBody>, ApiError> {
    let compared = app.manager.compare(session, known.user.id, query.a, query.b).await?;
    let Comparison { ancestor, only_a, only_b, count_a, count_b, context } = compared;
    Ok(axum::Json(ComparisonBody { ancestor, only_a, only_b, count_a, count_b, context }))
}

/// Brings what was said on another branch to this one.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/branches/{branch_id}/merge", tag = "branches",
    params(("session_id" = SessionId, Path), ("branch_id" = BranchId, Path)), request_body = Merge,
    responses((status = 201, description = "It is durable", body = Accepted)))]
pub async fn merge(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, into)): Path<(SessionId, BranchId)>,
    key: Key,
    Json(body): Json<Merge>,
) -> Result<Response, ApiError> {
    let Merge { from, how, if_head, messages, text, question } = body;
    let merge = BranchMerge { into, from, how, if_head, messages, text, question, said: Vec::new() };
    Ok(created(Accepted::from(app.manager.merge(session, known.user.id, key.id, merge).await?)))
}
