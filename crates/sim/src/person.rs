//! A client machine and what its user feels like doing.

use roundtable_client::Machine;
use roundtable_protocol::branching::{Branch, HeadMoved};
use roundtable_protocol::command::{
    DecisionRecord, MessageEdit, MessagePost, MessageRedact, ParticipantChangeRole, ParticipantLeave,
    ParticipantRemove, SessionChangeDetails, SessionRename, TurnAsk, TurnEdit, TurnStop, TurnWithdraw,
};
use roundtable_protocol::event::Actor;
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::{MessageId, ParticipantId, SessionId, Stream, UserId};
use roundtable_protocol::model::{ParticipantKind, SettingsPatch, TurnState};
use roundtable_protocol::view::{MessageView, View};
use roundtable_protocol::{BranchId, Command};

use crate::rng::Rng;

mod branches;

const TEXTS: [&str; 6] =
    ["one", "naïve 😀", "@Assistant what?", "🙃🙂", "a longer line of text, as people write it", "ok"];

/// One user with one client.
pub struct Person {
    /// Which one.
    pub index: usize,
    /// Who.
    pub user: UserId,
    /// The client.
    pub machine: Machine,
    /// Its connection, once it is open.
    pub conn: Option<u64>,
    /// The connection that is being opened.
    pub opening: Option<u64>,
    /// The time at which a tick is planned. Unit: milliseconds.
    pub tick_at: Option<u64>,
    /// The subscription was refused for good.
    pub refused: bool,
}

impl Person {
    /// Makes a client that wants the session's streams and has not connected.
    pub fn new(index: usize, user: UserId, session: SessionId, rng: Rng) -> Self {
        let mut machine = Machine::new(Some(user.to_string()), Vec::new(), Box::new(rng));
        machine.subscribe(session, [Stream::Main, Stream::Side]);
        Self { index, user, machine, conn: None, opening: None, tick_at: None, refused: false }
    }

    /// Returns what the user does next, from what the client shows.
    pub fn wish(&self, session: SessionId, rng: &mut Rng) -> Option<(Stream, Command)> {
        let sync = self.machine.session(session)?;
        let you = sync.you()?;
        let (me, role, view) = (you.participant_id?, you.role?, sync.view());
        let side = sync.position(Stream::Side).is_some() && rng.chance(300);
        let stream = if side { Stream::Side } else { Stream::Main };
        let text = (*rng.pick(&TEXTS)?).to_owned();
        let command = match rng.below(112) {
            0..45 => post(view, stream, text, rng),
            45..55 => Command::MessageEdit(MessageEdit { message: own(view, stream, me, rng)?, text }),
            55..61 => {
                let any = role >= Role::Moderator && rng.chance(300);
                let message = if any { some(view, stream, rng, |_| true)? } else { own(view, stream, me, rng)? };
                Command::MessageRedact(MessageRedact { message, reason: None })
            }
            61..69 => Command::TurnAsk(TurnAsk {
                message: some(view, Stream::Main, rng, |m| m.answer.is_none())?,
                sibling: rng.chance(200),
            }),
            69..80 => about_turns(view, text, rng)?,
            80..84 => Command::DecisionRecord(DecisionRecord { message: some(view, stream, rng, |_| true)? }),
            84..86 if role < Role::Owner => Command::ParticipantLeave(ParticipantLeave {}),
            86..96 if role >= Role::Moderator => about_others(view, me, rng)?,
            96..98 => Command::SessionRename(SessionRename { title: text }),
            98 => Command::SessionChangeDetails(SessionChangeDetails { description: Some(text), ..Default::default() }),
            100.. => return Some((Stream::Main, branches::wish(view, text, rng)?)),
            _ => Command::SessionChangeSettings(SettingsPatch {
                side_for_viewers: Some(rng.chance(500)),
                ..Default::default()
            }),
        };
        Some((stream, command))
    }
}

fn post(view: &View, stream: Stream, text: String, rng: &mut Rng) -> Command {
    let reply_to = if rng.chance(200) { some(view, stream, rng, |_| true) } else { None };
    let ask = match rng.below(4) {
        0 if stream == Stream::Main => Some(true),
        1 => Some(false),
        _ => None,
    };
    let post = MessagePost { text, reply_to, ask, ..MessagePost::default() };
    Command::MessagePost(if stream == Stream::Main { on_branch(view, post, rng) } else { post })
}

/// Now and then on another branch than the main one, behind what its author has seen, or beside another message.
fn on_branch(view: &View, post: MessagePost, rng: &mut Rng) -> MessagePost {
    match rng.below(20) {
        0..6 => {
            let Some(Branch { id, head, .. }) = branch(view, rng) else { return post };
            let moved = [HeadMoved::Append, HeadMoved::Fork, HeadMoved::Reject];
            let if_head_moved = *rng.pick(&moved).expect("not empty");
            MessagePost { branch: Some(*id), parent: *head, if_head_moved, ..post }
        }
        6 => MessagePost { sibling_of: some(view, Stream::Main, rng, |_| true), ..post },
        _ => post,
    }
}

fn branch<'a>(view: &'a View, rng: &mut Rng) -> Option<&'a Branch> {
    rng.pick(&view.branching.branches)
}

fn branch_id(view: &View, rng: &mut Rng) -> Option<BranchId> {
    Some(branch(view, rng)?.id)
}

fn about_turns(view: &View, text: String, rng: &mut Rng) -> Option<Command> {
    let turn = rng.pick(&view.turns)?;
    Some(match turn.state {
        TurnState::Running => Command::TurnStop(TurnStop { turn: turn.id }),
        TurnState::Queued if rng.chance(500) => Command::TurnEdit(TurnEdit { turn: turn.id, text }),
        TurnState::Queued => Command::TurnWithdraw(TurnWithdraw { turn: turn.id }),
    })
}

fn about_others(view: &View, me: ParticipantId, rng: &mut Rng) -> Option<Command> {
    let others: Vec<_> = view.participants.iter().filter(|p| p.id != me && p.kind == ParticipantKind::User).collect();
    let participant = rng.pick(&others)?.id;
    if rng.chance(80) {
        return Some(Command::ParticipantRemove(ParticipantRemove { participant, reason: None }));
    }
    let role = *rng.pick(&[Role::Viewer, Role::Collaborator, Role::Collaborator, Role::Moderator])?;
    Some(Command::ParticipantChangeRole(ParticipantChangeRole { participant, role }))
}

fn own(view: &View, stream: Stream, me: ParticipantId, rng: &mut Rng) -> Option<MessageId> {
    some(view, stream, rng, |m| m.author == Actor::Participant(me))
}

fn some(view: &View, stream: Stream, rng: &mut Rng, fits: impl Fn(&MessageView) -> bool) -> Option<MessageId> {
    let all: Vec<_> = view.streams.get(&stream)?.messages.iter().filter(|m| fits(m)).collect();
    Some(rng.pick(&all)?.id)
}
