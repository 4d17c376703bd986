//! Which action each route needs. The server builds its router through [`action`] and refuses to start when a route
//! has no line here, or a line has no route.

use roundtable_protocol::grant::Permission;

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: anybody may call it.
    Public,
    /// A login.
    LoggedIn,
    /// The token that a running server keeps in its data folder, from its own machine.
    Operator,
    /// A login that may host sessions here.
    Host,
    /// This permission in the session that the path names.
    In(Permission),
    /// Each command that comes in names its own permission.
    PerCommand,
    /// A login that comes with the call or in the first frame; then each frame names its own permission.
    Socket,
}

/// Method, path template, action.
pub const ROUTES: &[(&str, &str, Action)] = &[
    ("POST", "/api/v1/guests", Action::Public),
    ("GET", "/api/v1/me", Action::LoggedIn),
    ("PATCH", "/api/v1/me", Action::LoggedIn),
    ("DELETE", "/api/v1/me", Action::LoggedIn),
    ("GET", "/api/v1/stats", Action::Public),
    ("POST", "/api/v1/join", Action::Public),
    ("PUT", "/api/v1/admin/log", Action::Operator),
    ("GET", "/api/v1/assistants", Action::LoggedIn),
    ("POST", "/api/v1/assistants", Action::Host),
    ("POST", "/api/v1/assistants/scan", Action::Host),
    ("DELETE", "/api/v1/assistants/{name}", Action::Host),
    ("POST", "/api/v1/sessions", Action::Host),
    ("GET", "/api/v1/sessions", Action::LoggedIn),
    ("GET", "/api/v1/sessions/{session_id}", Action::In(Permission::SessionView)),
    ("PATCH", "/api/v1/sessions/{session_id}", Action::In(Permission::SessionChange)),
    ("DELETE", "/api/v1/sessions/{session_id}", Action::In(Permission::SessionDelete)),
    ("POST", "/api/v1/sessions/{session_id}/start", Action::In(Permission::SessionChange)),
    ("POST", "/api/v1/sessions/{session_id}/pause", Action::In(Permission::SessionPause)),
    ("POST", "/api/v1/sessions/{session_id}/resume", Action::In(Permission::SessionPause)),
    ("POST", "/api/v1/sessions/{session_id}/detach", Action::In(Permission::SessionChange)),
    ("GET", "/api/v1/sessions/{session_id}/report", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/report/summary", Action::In(Permission::TurnPrompt)),
    ("GET", "/api/v1/sessions/{session_id}/unread", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/events/{seq}/acknowledged_by", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/events/{seq}/known", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/health", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/end", Action::In(Permission::SessionEnd)),
    ("POST", "/api/v1/sessions/{session_id}/terminate", Action::In(Permission::SessionEnd)),
    ("GET", "/api/v1/sessions/{session_id}/events", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/live", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/replay", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/state", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/timeline", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/pages/{page}", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/messages", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/messages/{message_id}", Action::In(Permission::SessionView)),
    ("PATCH", "/api/v1/sessions/{session_id}/messages/{message_id}", Action::PerCommand),
    ("DELETE", "/api/v1/sessions/{session_id}/messages/{message_id}", Action::PerCommand),
    ("POST", "/api/v1/sessions/{session_id}/attachments", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/attachments/{attachment_id}", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/commands", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/context", Action::In(Permission::SessionView)),
    ("PATCH", "/api/v1/sessions/{session_id}/context", Action::PerCommand),
    ("POST", "/api/v1/sessions/{session_id}/context/revert", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/context/history", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/context/conflicts", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/context/conflicts/{conflict_id}", Action::PerCommand),
    ("POST", "/api/v1/sessions/{session_id}/code", Action::In(Permission::LinkManage)),
    ("DELETE", "/api/v1/sessions/{session_id}/code", Action::In(Permission::LinkManage)),
    ("GET", "/api/v1/sessions/{session_id}/links", Action::In(Permission::LinkManage)),
    ("POST", "/api/v1/sessions/{session_id}/links", Action::In(Permission::LinkManage)),
    ("DELETE", "/api/v1/sessions/{session_id}/links/{link_id}", Action::In(Permission::LinkManage)),
    ("GET", "/api/v1/sessions/{session_id}/participants", Action::In(Permission::SessionView)),
    (
        "PATCH",
        "/api/v1/sessions/{session_id}/participants/{participant_id}",
        Action::In(Permission::ParticipantChangeRole),
    ),
    ("DELETE", "/api/v1/sessions/{session_id}/participants/{participant_id}", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/requests", Action::In(Permission::ParticipantAdmit)),
    ("GET", "/api/v1/sessions/{session_id}/requests/mine", Action::LoggedIn),
    ("DELETE", "/api/v1/sessions/{session_id}/requests/mine", Action::LoggedIn),
    ("POST", "/api/v1/sessions/{session_id}/requests/{participant_id}/approve", Action::PerCommand),
    ("POST", "/api/v1/sessions/{session_id}/requests/{participant_id}/deny", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/memories", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/memories", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/memories/{memory_id}", Action::In(Permission::SessionView)),
    ("PATCH", "/api/v1/sessions/{session_id}/memories/{memory_id}", Action::PerCommand),
    ("DELETE", "/api/v1/sessions/{session_id}/memories/{memory_id}", Action::PerCommand),
    ("POST", "/api/v1/sessions/{session_id}/actions", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/action-types", Action::In(Permission::SessionView)),
    ("PUT", "/api/v1/sessions/{session_id}/action-types/{type}", Action::In(Permission::SessionChange)),
    ("DELETE", "/api/v1/sessions/{session_id}/action-types/{type}", Action::In(Permission::SessionChange)),
    ("GET", "/api/v1/sessions/{session_id}/branches", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/branches", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/branches/compare", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/branches/{branch_id}", Action::In(Permission::SessionView)),
    ("PATCH", "/api/v1/sessions/{session_id}/branches/{branch_id}", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/branches/{branch_id}/messages", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/branches/{branch_id}/merge", Action::PerCommand),
    ("POST", "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}/restore", Action::PerCommand),
    ("POST", "/api/v1/sessions/{session_id}/fork", Action::Host),
    ("GET", "/api/v1/sessions/{session_id}/lineage", Action::In(Permission::SessionView)),
    ("GET", "/api/v1/sessions/{session_id}/checkpoints", Action::In(Permission::SessionView)),
    ("POST", "/api/v1/sessions/{session_id}/checkpoints", Action::PerCommand),
    ("GET", "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}", Action::In(Permission::SessionView)),
    ("PATCH", "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}", Action::PerCommand),
    ("DELETE", "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}", Action::PerCommand),
    ("GET", "/api/v1/ws", Action::Socket),
];

/// Returns the action of a route.
pub fn action(method: &str, path: &str) -> Option<Action> {
    ROUTES.iter().find(|(m, p, _)| *m == method && *p == path).map(|(_, _, a)| *a)
}
