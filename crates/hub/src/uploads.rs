//! Uploaded files: keeping them, handing them out, reading what assistants are told of them.
//!
//! Owns: who may upload for which stream and read what. Must not know: HTTP, what kinds of file there are beyond "text
//! or not". Invariants: a file is readable by those who may read the stream that it was posted to, before that by its
//! uploader alone; of files in `side` nothing reaches an assistant.

use std::time::Duration;

use futures_util::StreamExt;
use roundtable_protocol::grant::Permission;
use roundtable_protocol::model::Attachment;
use roundtable_protocol::{AttachmentId, Code, Grant, Problem, SessionId, Stream, UserId};
use roundtable_store::{NewBlob, Store, StoreError, StoredAttachment};

use crate::manager::{SessionManager, Standing, unavailable};
use crate::turns::TranscriptMessage;

/// How long a file is kept that was uploaded and never posted.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How often such files are looked for.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// How much text of the files of one message an assistant is given. Unit: bytes.
pub const TEXT_OF_MESSAGE: usize = 32 * 1024;
/// The same over all messages, the newest first; more than that fits into few models. Unit: bytes.
const TEXT_OF_ALL: usize = 512 * 1024;

/// A file of a message as a driver gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptAttachment {
    /// The file.
    pub attachment: Attachment,
    /// Its text or the beginning of it, when it is a text.
    pub text: Option<String>,
}

impl SessionManager {
    /// Returns whether a file may be uploaded for a stream now.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// let standing = manager.standing(session, ana).await?;
    /// manager.may_upload(&standing, Stream::Main)?;
    /// assert!(manager.may_upload(&standing, Stream::Staff).is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The session is not open, the stream takes no messages, or the role does not allow to write there.
    pub fn may_upload(&self, standing: &Standing, stream: Stream) -> Result<(), Problem> {
        let needed = match stream {
            Stream::Main => Permission::MessagePost,
            Stream::Side => Permission::SidePost,
            Stream::Staff | Stream::Stage => {
                let detail = "files go to main or side";
                let problem = Problem::new(Code::NotAvailable).with_detail(detail);
                return Err(problem.with_field("/stream", Code::NotAvailable, detail));
            }
        };
        if !standing.grant.allows(needed) {
            return Err(Problem::new(Code::Forbidden));
        }
        if !standing.info.state.is_open() {
            return Err(Problem::new(Code::SessionNotActive));
        }
        Ok(())
    }

    /// Begins the content of a new file.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let mut content = manager.begin_upload().await?;
    /// content.write(b"hello").await.unwrap();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The store cannot write.
    pub async fn begin_upload(&self) -> Result<NewBlob, Problem> {
        self.store().begin_blob().await.map_err(unavailable)
    }

    /// Keeps a file, to be posted within [`KEPT`]. The same id again answers the first one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{AttachmentId, Stream, model::Attachment};
    ///
    /// let mut content = manager.begin_upload().await?;
    /// content.write(b"hello").await.unwrap();
    /// let file = Attachment {
    ///     id: AttachmentId(roundtable_hub::clock::new_key()), name: "note.txt".into(), media_type: "text/plain".into(), size_bytes: 5,
    ///     width: None, height: None,
    /// };
    /// let kept = manager.keep_upload(session, ana, Stream::Main, file, content).await?;
    /// assert_eq!(kept.name, "note.txt");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The store cannot write, the session is gone, or the id was used for something else.
    pub async fn keep_upload(
        &self,
        session: SessionId,
        uploader: UserId,
        stream: Stream,
        attachment: Attachment,
        content: NewBlob,
    ) -> Result<Attachment, Problem> {
        let (hash, created_at) = (content.hash(), self.now());
        let new = StoredAttachment { session, uploader, stream, hash, attachment, created_at, message: None };
        let wanted = new.attachment.clone();
        let kept = self.store().put_attachment(new, content).await.map_err(unavailable)?;
        let kept = kept.ok_or_else(|| Problem::new(Code::NotFound))?;
        let same = (kept.uploader, kept.stream, kept.hash) == (uploader, stream, hash) && kept.attachment == wanted;
        if same { Ok(kept.attachment) } else { Err(Problem::new(Code::KeyReused)) }
    }

    /// Returns a file that `user` may read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{AttachmentId, Stream, model::Attachment};
    ///
    /// let mut content = manager.begin_upload().await?;
    /// content.write(b"hello").await.unwrap();
    /// let file = Attachment {
    ///     id: AttachmentId(roundtable_hub::clock::new_key()), name: "note.txt".into(), media_type: "text/plain".into(), size_bytes: 5,
    ///     width: None, height: None,
    /// };
    /// manager.keep_upload(session, ana, Stream::Main, file.clone(), content).await?;
    /// let grant = manager.standing(session, ana).await?.grant;
    /// assert_eq!(manager.attachment(session, ana, &grant, file.id).await?.attachment, file);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `attachment_not_found`, also for those who may not see it.
    pub async fn attachment(
        &self,
        session: SessionId,
        user: UserId,
        grant: &Grant,
        id: AttachmentId,
    ) -> Result<StoredAttachment, Problem> {
        let found = self.store().attachments(session, vec![id]).await.map_err(unavailable)?;
        let readable = |file: &StoredAttachment| {
            grant.streams.contains(file.stream) && (file.message.is_some() || file.uploader == user)
        };
        found.into_iter().find(readable).ok_or_else(|| Problem::new(Code::AttachmentNotFound))
    }
}

/// Returns whether a file of this type is something to read.
pub fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || matches!(media_type, "application/json" | "application/xml")
}

/// Reads what assistants are given of the files of a conversation in `main`, the newest messages first.
pub(crate) async fn read_texts(
    store: &dyn Store,
    session: SessionId,
    transcript: &mut [TranscriptMessage],
) -> Result<(), StoreError> {
    let mut left = TEXT_OF_ALL;
    for message in transcript.iter_mut().rev() {
        let mut of_message = TEXT_OF_MESSAGE.min(left);
        for file in message.attachments.iter_mut().filter(|file| is_text(&file.attachment.media_type)) {
            let stored = store.attachments(session, vec![file.attachment.id]).await?;
            // Posted in `main`, as the transcript is: what was uploaded for another stream cannot be here.
            let Some(stored) = stored.into_iter().find(|s| s.stream == Stream::Main) else { continue };
            let text = beginning(store, &stored, of_message).await?;
            of_message -= text.len();
            left -= text.len();
            file.text = Some(text);
        }
    }
    Ok(())
}

/// Returns the first `most` bytes of a text at most, whole characters only.
async fn beginning(store: &dyn Store, file: &StoredAttachment, most: usize) -> Result<String, StoreError> {
    let Some(mut parts) = store.read_blob(file.hash).await? else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    while bytes.len() < most
        && let Some(part) = parts.next().await
    {
        bytes.extend_from_slice(&part.map_err(|error| StoreError::Unavailable(error.to_string()))?);
    }
    bytes.truncate(most);
    let valid = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    bytes.truncate(valid);
    Ok(String::from_utf8(bytes).unwrap_or_default())
}
