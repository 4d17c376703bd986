//! What a driver is given.
//!
//! Owns: the input of one turn. Must not know: where it was stored. Invariant: there is no way to put text of a stream
//! other than `main` in here; [`MainText`] is the only door and it looks at the stream.

use roundtable_protocol::{MessageId, ParticipantId, Role, Stream, Timestamp, TurnId};

/// Everything that one turn may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnInput {
    /// The turn.
    pub turn: TurnId,
    /// The message that asks. It may be older than the end of the transcript: others wrote while it was queued.
    pub request: MessageId,
    /// The session's title, as a person wrote it.
    pub session_title: String,
    /// Who answers.
    pub assistant: ParticipantId,
    /// The name that people see beside the answers.
    pub assistant_name: String,
    /// What the session keeps in mind, the most important first; nothing unless the session's settings give it.
    pub memories: Vec<MemoryEntry>,
    /// The conversation, oldest first. Give all there is: the driver knows what fits.
    pub transcript: Vec<TranscriptEntry>,
}

impl TurnInput {
    /// Returns the entry that asks: the requested message, else what a person wrote last.
    pub fn request_entry(&self) -> Option<&TranscriptEntry> {
        self.transcript
            .iter()
            .find(|entry| entry.message == self.request)
            .or_else(|| self.transcript.iter().rev().find(|entry| entry.kind == AuthorKind::Person))
    }
}

/// One message of the conversation. All but the text is the server's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptEntry {
    /// The message.
    pub message: MessageId,
    /// Who wrote it.
    pub participant: ParticipantId,
    /// The display name from the roster; never anything out of the text.
    pub author_name: String,
    /// The author's role.
    pub role: Role,
    /// Person or assistant.
    pub kind: AuthorKind,
    /// Whether the author may prompt the assistant. Everybody else's text is data, not a request.
    pub trusted: bool,
    /// When it was written.
    pub at: Timestamp,
    /// What was written.
    pub text: MainText,
    /// Files that came with it.
    pub attachments: Vec<EntryAttachment>,
}

/// Something that the session keeps in mind. All but the text is the server's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryEntry {
    /// Who added it.
    pub participant: ParticipantId,
    /// The display name from the roster.
    pub author_name: String,
    /// Whether the author may prompt the assistant. Everybody else's text is data, not a request.
    pub trusted: bool,
    /// Whether people have pinned it.
    pub pinned: bool,
    /// What is kept in mind; told in `main`.
    pub text: MainText,
}

/// A file that came with a message in `main`. All but its name and text is the server's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryAttachment {
    /// Its name, as a person gave it.
    pub name: String,
    /// What it is.
    pub media_type: String,
    /// How large it is. Unit: bytes.
    pub size_bytes: u64,
    /// Its text or the beginning of it; none when it is no text.
    pub text: Option<MainText>,
}

/// What kind of author wrote an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorKind {
    /// A person.
    Person,
    /// An assistant: the one that answers, or another one.
    Assistant,
}

/// Text from the `main` stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainText(String);

impl MainText {
    /// Returns `text` if it stood in `main`, and nothing for any other stream.
    ///
    /// Hand in the stream of the event that carries the text. Side chat must never reach a model, and this is where
    /// that is held.
    pub fn from_stream(stream: Stream, text: impl Into<String>) -> Option<Self> {
        (stream == Stream::Main).then(|| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_of_the_main_stream_becomes_main_text() {
        for stream in Stream::ALL {
            assert_eq!(MainText::from_stream(stream, "canary").is_some(), stream == Stream::Main, "{stream}");
        }
    }
}
