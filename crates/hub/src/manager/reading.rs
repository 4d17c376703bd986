//! Reading a session's log and messages, as far as the user may.

use super::*;

/// Most bytes of one page of events.
pub(super) const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A run of events of one stream.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The identity of the numbering.
    pub epoch: Epoch,
    /// The stream's last seq.
    pub head: Seq,
    /// The events, each in its wire form as JSON.
    pub events: Vec<Bytes>,
}

/// Reading.
impl SessionManager {
    /// Returns events of a stream after a seq, at most `limit` and 4 MiB.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{Seq, Stream};
    ///
    /// let page = manager.events(session, ana, Stream::Main, Seq::ZERO, 2).await?;
    /// assert_eq!(page.events.len(), 2);
    /// assert!(page.head > Seq(2));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or stream for this user.
    pub async fn events(
        &self,
        session: SessionId,
        user: UserId,
        stream: Stream,
        after: Seq,
        limit: usize,
    ) -> Result<EventPage, Problem> {
        let look = move |look: &mut Look<'_>, grant: Grant| {
            let head = look.session.heads()[stream as usize];
            grant.streams.contains(stream).then(|| (look.session.epoch().clone(), head))
        };
        let (epoch, head) = self.viewed(session, user, look).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
        let stored = self.shared.store.read(session, stream, after, limit, PAGE_BYTES).await.map_err(unavailable)?;
        let events = stored.iter().filter(|e| e.seq <= head).map(|e| wire(e).into()).collect();
        Ok(EventPage { epoch, head, events })
    }

    /// Returns one event in its wire form.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// let said = manager.send_message(session, ana, Stream::Main, "Hello").await?;
    /// assert!(manager.event(session, ana, said.id).await?.starts_with(b"{"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such event for this user.
    pub async fn event(&self, session: SessionId, user: UserId, id: EventId) -> Result<Bytes, Problem> {
        let streams = self.viewed(session, user, |_, grant| grant.streams).await?;
        let found = self.shared.store.find(session, id).await.map_err(unavailable)?;
        match found.filter(|f| streams.contains(f.event.stream)) {
            Some(found) => Ok(wire(&found.event).into()),
            None => Err(Problem::new(Code::NotFound)),
        }
    }

    /// Returns a page of folded messages.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// manager.send_message(session, ana, Stream::Main, "Hello").await?;
    /// assert_eq!(manager.page(session, ana, Stream::Main, 0).await?.messages[0].text, "Hello");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such page for this user.
    pub async fn page(&self, session: SessionId, user: UserId, stream: Stream, page: u64) -> Result<Page, Problem> {
        let look = move |look: &mut Look<'_>, grant: Grant| {
            let spans = look.session.pages(stream).to_vec();
            grant.streams.contains(stream).then(|| (spans, Arc::clone(look.views)))
        };
        let not_found = || Problem::new(Code::NotFound).with_detail("There is no such page.");
        let (spans, views) = self.viewed(session, user, look).await?.ok_or_else(not_found)?;
        let place = usize::try_from(page).unwrap_or(usize::MAX);
        let span = *spans.get(place).ok_or_else(not_found)?;
        views.page(stream, page, span, place + 1 < spans.len()).await.map_err(unavailable)
    }

    /// Returns one message as it is now, and its stream.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{MessageId, Stream};
    ///
    /// let said = manager.send_message(session, ana, Stream::Main, "Hello").await?;
    /// let (_, message) = manager.message(session, ana, MessageId(said.id.0)).await?;
    /// assert_eq!(message.text, "Hello");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_message` when there is none for this user, `not_found` when there is no such session.
    pub async fn message(
        &self,
        session: SessionId,
        user: UserId,
        id: MessageId,
    ) -> Result<(Stream, MessageView), Problem> {
        let place = self
            .viewed(session, user, move |look, grant| {
                look.session.message(id).filter(|m| grant.streams.contains(m.stream)).map(|m| (m.stream, m.n))
            })
            .await?;
        let none = || Problem::new(Code::NoSuchMessage);
        let (stream, n) = place.ok_or_else(none)?;
        let page = self.page(session, user, stream, n / PAGE_MESSAGES).await?;
        let message = page.messages.into_iter().find(|m| m.id == id).ok_or_else(none)?;
        Ok((stream, message))
    }
}
