//! Looking up what a command names and the rules do not hold: files, what messages say, the link that somebody came by.
//!
//! Owns: the questions to the store before a command is decided. Must not know: what follows from the answers. Invariant:
//! commands that name nothing of the kind wait for nothing here.

use roundtable_core::Upload;
use roundtable_core::session::MAX_PICKED;
use roundtable_protocol::command::{MessagePost, Said};
use roundtable_protocol::view::MessageView;
use roundtable_protocol::{Code, Command, LinkId, MessageId, Problem, Stream};
use roundtable_store::Link;

use super::Room;

/// How many files of one message are looked up: one more than it may have.
const MAX_LOOKED_UP: usize = 11;
/// How long an upload can be posted: a little less than it is kept, so that none is thrown away while it is posted.
const UPLOAD_USABLE: std::time::Duration = std::time::Duration::from_secs(crate::uploads::KEPT.as_secs() - 600);

/// What was found of what a command names.
#[derive(Default)]
pub(crate) struct LookedUp {
    /// The files that it posts.
    pub(crate) uploads: Vec<Upload>,
    /// Whether the link is over by which somebody came whom it lets in.
    pub(crate) link_ended: bool,
}

impl Room {
    /// Looks up what a command names and the rules do not hold.
    pub(crate) async fn look_up(&mut self, command: &mut Command) -> Result<LookedUp, Problem> {
        match command {
            Command::BranchMerge(merge) => {
                merge.said = self.said_in(&merge.messages).await?;
                Ok(LookedUp::default())
            }
            Command::MessagePost(post) => Ok(LookedUp { uploads: self.uploads(post).await?, link_ended: false }),
            Command::ParticipantApprove(approve) => {
                let via = self.pending.approvable(approve.participant).and_then(|request| request.via);
                let link_ended = match via {
                    Some(link) => self.has_ended(link).await?,
                    None => false,
                };
                Ok(LookedUp { uploads: Vec::new(), link_ended })
            }
            _ => Ok(LookedUp::default()),
        }
    }

    /// Returns whether a link has been revoked or has expired. One that is used up has not: whoever asks has used it.
    /// A revocation after this and before the commit is caught by the commit: it moves the rights.
    async fn has_ended(&mut self, id: LinkId) -> Result<bool, Problem> {
        let links = self.shared.store.links(self.id).await.map_err(|error| {
            tracing::warn!(session.id = %self.id, %error, "the link of a request could not be looked up");
            Problem::new(Code::Unavailable).retry_after_ms(1_000)
        })?;
        let now = self.shared.now();
        let opens = |link: &Link| link.revoked_at.is_none() && link.expires_at.is_none_or(|end| now < end);
        Ok(!links.iter().any(|link| link.id == id && opens(link)))
    }

    /// Reads what messages say now, whatever the caller says of it.
    async fn said_in(&mut self, ids: &[MessageId]) -> Result<Vec<Said>, Problem> {
        let numbers: std::collections::BTreeSet<u64> =
            ids.iter().take(MAX_PICKED).filter_map(|id| self.committed.message(*id)).map(|m| m.n).collect();
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let read = self.views.messages(Stream::Main, &numbers, self.committed.pages(Stream::Main)).await;
        let read = read.map_err(|error| {
            tracing::warn!(session.id = %self.id, %error, "picked messages could not be read");
            Problem::new(Code::Unavailable).retry_after_ms(1_000)
        })?;
        let said = |m: MessageView| Said { message: m.id, text: m.text, attachments: m.attachments, data: m.data };
        Ok(read.into_iter().map(said).collect())
    }

    /// Looks up the files that a command names. The one place where ids of files become what is recorded of them, for
    /// commands from wherever they come; those without files wait for nothing here.
    async fn uploads(&mut self, post: &MessagePost) -> Result<Vec<Upload>, Problem> {
        if post.attachments.is_empty() {
            return Ok(Vec::new());
        }
        // Core refuses more than ten; they need no looking up.
        let ids = post.attachments.iter().take(MAX_LOOKED_UP).copied().collect();
        let stored = self.shared.store.attachments(self.id, ids).await.map_err(|error| {
            tracing::warn!(session.id = %self.id, %error, "uploaded files could not be looked up");
            Problem::new(Code::Unavailable).retry_after_ms(1_000)
        })?;
        let oldest = self.shared.now() - UPLOAD_USABLE;
        let usable = stored.into_iter().filter(|s| s.message.is_none() && s.created_at > oldest);
        Ok(usable.map(|s| Upload { uploader: s.uploader, stream: s.stream, attachment: s.attachment }).collect())
    }
}
