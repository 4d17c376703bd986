//! Connections: ordered both ways, late, cut at any frame, silent, or slow.

use std::collections::VecDeque;

use roundtable_client::{Incoming, Item, incoming};
use roundtable_protocol::event::Event;
use roundtable_protocol::frame::{Bye, ClientFrame, Events, ServerFrame};
use roundtable_protocol::ids::Stream;

use super::{Plan, World};

/// How long the server keeps a connection that says nothing. Unit: milliseconds.
const REAP_MS: u64 = 30_000;

/// A connection between one client and the server.
pub(super) struct Conn {
    person: usize,
    up: VecDeque<Option<ClientFrame>>,
    down: VecDeque<Down>,
    latency: u64,
    /// When the last frame arrives: later ones do not overtake it.
    up_at: u64,
    down_at: u64,
    /// Nothing passes any more, and nobody is told.
    hole: bool,
    /// Cut: what travels arrives, nothing is added.
    cut: bool,
}

enum Down {
    Frame(Box<Incoming>),
    Fin(Option<u16>),
}

impl Down {
    fn describe(&self) -> String {
        match self {
            Self::Frame(frame) => match &**frame {
                Incoming::Frame(frame) => json(frame),
                Incoming::Events { stream, items, .. } => {
                    let seqs: Vec<_> = items.iter().map(|i| i.seq().0).collect();
                    format!("events of {stream}: {seqs:?}")
                }
                Incoming::Unknown => "an unknown frame".to_owned(),
            },
            Self::Fin(code) => format!("the end: {code:?}"),
        }
    }
}

impl World {
    /// A client wants a socket.
    pub(super) fn dial(&mut self, index: usize) {
        self.next_conn += 1;
        self.people[index].opening = Some(self.next_conn);
        let delay = self.rng.between(5, 300);
        self.plan(delay, Plan::Open(index, self.next_conn));
    }

    pub(super) fn open(&mut self, index: usize, conn: u64) {
        if self.people[index].opening.take_if(|opening| *opening == conn).is_none() {
            return;
        }
        self.people[index].machine.tick(self.now);
        let refused = self.is_chaos() && self.rng.chance(100);
        match &mut self.server {
            Some(server) if !refused => {
                server.accept(conn);
                let latency = self.rng.between(1, 120);
                let (up_at, down_at) = (self.now, self.now);
                let (up, down) = (VecDeque::new(), VecDeque::new());
                let open = Conn { person: index, up, down, latency, up_at, down_at, hole: false, cut: false };
                self.conns.insert(conn, open);
                self.people[index].conn = Some(conn);
                self.people[index].machine.connected();
            }
            _ => self.people[index].machine.disconnected(None),
        }
        self.drain(index);
    }

    /// The client has dropped its socket.
    pub(super) fn hang_up(&mut self, index: usize) {
        self.people[index].opening = None;
        let Some(conn) = self.people[index].conn.take() else { return };
        let Some(link) = self.conns.get_mut(&conn) else { return };
        link.down.clear();
        if link.hole {
            self.plan(REAP_MS, Plan::Reap(conn));
            return;
        }
        link.cut = true;
        link.up.push_back(None);
        self.later_up(conn);
    }

    pub(super) fn send_up(&mut self, index: usize, frame: ClientFrame) {
        let Some(conn) = self.people[index].conn else { return };
        self.say(|| format!("client {index} connection {conn} says {}", json(&frame)));
        let Some(link) = self.conns.get_mut(&conn).filter(|l| !l.hole && !l.cut) else { return };
        let frame = if self.as_text {
            serde_json::from_str(&json(&frame)).expect("what was written can be read")
        } else {
            frame
        };
        link.up.push_back(Some(frame));
        self.later_up(conn);
    }

    pub(super) fn send_down(&mut self, conn: u64, frame: ServerFrame) {
        self.snapshots += u64::from(matches!(frame, ServerFrame::Snapshot(_)));
        let frame = if self.as_text { read_back(&frame) } else { frame.into() };
        self.push_down(conn, frame);
    }

    pub(super) fn send_events(&mut self, conn: u64, stream: Stream, events: Vec<Event>) {
        let frame = if self.as_text {
            read_back(&ServerFrame::Events(Events { session_id: self.session, stream, items: events }))
        } else {
            let items = events.into_iter().map(|e| Item::Event(Box::new(e))).collect();
            Incoming::Events { session: self.session, stream, items }
        };
        self.push_down(conn, frame);
    }

    fn push_down(&mut self, conn: u64, frame: Incoming) {
        let Some(link) = self.conns.get_mut(&conn).filter(|l| !l.hole && !l.cut) else { return };
        link.down.push_back(Down::Frame(Box::new(frame)));
        self.later_down(conn);
    }

    fn later_up(&mut self, conn: u64) {
        let extra = self.rng.below(10);
        let Some(link) = self.conns.get_mut(&conn) else { return };
        link.up_at = link.up_at.max(self.now + link.latency + extra);
        let delay = link.up_at - self.now;
        self.plan(delay, Plan::Arrive { conn, at_server: true });
    }

    fn later_down(&mut self, conn: u64) {
        let extra = self.rng.below(10);
        let Some(link) = self.conns.get_mut(&conn) else { return };
        link.down_at = link.down_at.max(self.now + link.latency + extra);
        let delay = link.down_at - self.now;
        self.plan(delay, Plan::Arrive { conn, at_server: false });
    }

    pub(super) fn arrive(&mut self, conn: u64, at_server: bool) {
        let Some(link) = self.conns.get_mut(&conn) else { return };
        let index = link.person;
        if at_server {
            match link.up.pop_front() {
                Some(Some(frame)) => {
                    let now = self.calendar();
                    if let Some(server) = &mut self.server {
                        server.frame(conn, frame, now, &mut self.checks);
                    }
                    self.serve();
                }
                Some(None) => self.server_loses(conn),
                None => {}
            }
            return;
        }
        let Some(down) = link.down.pop_front() else { return };
        if let Some(server) = &mut self.server {
            server.delivered(conn);
        }
        if self.people[index].conn != Some(conn) {
            return;
        }
        self.note(conn);
        self.people[index].machine.tick(self.now);
        self.say(|| format!("client {index} connection {conn} hears {}", down.describe()));
        match down {
            Down::Frame(frame) => self.people[index].machine.frame(*frame),
            Down::Fin(code) => {
                self.people[index].conn = None;
                self.people[index].machine.disconnected(code);
            }
        }
        self.drain(index);
    }

    /// The server has learnt that a connection is gone.
    pub(super) fn server_loses(&mut self, conn: u64) {
        if let Some(server) = &mut self.server {
            server.gone(conn);
        }
        if let Some(link) = self.conns.remove(&conn)
            && self.people[link.person].conn == Some(conn)
            && !link.hole
        {
            // The client's side is told by what still travels; nothing does any more.
            self.people[link.person].conn = None;
            self.people[link.person].machine.tick(self.now);
            self.people[link.person].machine.disconnected(Some(1006));
            self.drain(link.person);
        }
    }

    /// The connection breaks: of what travels, the first part still arrives.
    pub(super) fn cut(&mut self, conn: u64) {
        let (up, down) = (self.rng.draw(), self.rng.draw());
        let Some(link) = self.conns.get_mut(&conn).filter(|l| !l.cut && !l.hole) else { return };
        link.cut = true;
        let keep = |len: usize, random: u64| usize::try_from(random % (len as u64 + 1)).expect("below a usize");
        link.up.truncate(keep(link.up.len(), up));
        link.down.truncate(keep(link.down.len(), down));
        link.down.push_back(Down::Fin(Some(1006)));
        // The server's end notices by itself, some time after the client's.
        self.later_down(conn);
        let notices = self.rng.between(200, 5_000);
        self.plan(notices, Plan::Reap(conn));
    }

    /// Half-open: both ends believe that the connection stands.
    pub(super) fn make_hole(&mut self, conn: u64) {
        let Some(link) = self.conns.get_mut(&conn).filter(|l| !l.cut) else { return };
        link.hole = true;
        link.up.clear();
        link.down.clear();
        self.plan(REAP_MS, Plan::Reap(conn));
    }

    /// Nothing arrives at the client for a while; it piles up.
    pub(super) fn stall(&mut self, conn: u64) {
        let ms = self.rng.between(500, 8_000);
        if let Some(link) = self.conns.get_mut(&conn) {
            link.down_at = link.down_at.max(self.now) + ms;
        }
    }

    /// The server dies: every client learns it, or finds out. With notice: it says when to come back.
    pub(super) fn cut_all(&mut self, notice: Option<u64>) {
        let conns: Vec<_> = self.conns.keys().copied().collect();
        for conn in conns {
            if self.rng.chance(50) {
                self.make_hole(conn);
                continue;
            }
            if let Some(retry_after_ms) = notice {
                let bye = ServerFrame::Bye(Bye { code: "shutting_down".to_owned(), retry_after_ms });
                self.push_down(conn, bye.into());
            }
            let lost = if notice.is_some() { 0 } else { self.rng.draw() };
            let code = if notice.is_some() { 1001 } else { 1006 };
            let Some(link) = self.conns.get_mut(&conn).filter(|l| !l.cut && !l.hole) else { continue };
            link.cut = true;
            link.up.clear();
            if notice.is_none() {
                let len = link.down.len() as u64 + 1;
                link.down.truncate(usize::try_from(lost % len).expect("below a usize"));
            }
            link.down.push_back(Down::Fin(Some(code)));
            self.later_down(conn);
            self.plan(REAP_MS, Plan::Reap(conn));
        }
    }
}

fn json(frame: &impl serde::Serialize) -> String {
    serde_json::to_string(frame).expect("frames serialise: string keys, no failing impls")
}

/// Writes a frame as text and reads it as a client does.
fn read_back(frame: &ServerFrame) -> Incoming {
    incoming::from_text(&json(frame)).expect("what was written can be read")
}
