//! The scripted assistant: it claims the turn that is owed, streams, records and ends it.
//!
//! It lives in the server's process: a crash takes it along, and the lease's end makes its turn lost.

use roundtable_core::Owed;
use roundtable_protocol::Problem;
use roundtable_protocol::command::{Command, TurnComplete, TurnFail, TurnProgress, TurnStart};
use roundtable_protocol::event::SessionArchived;
use roundtable_protocol::frame::{Delta, ServerFrame};
use roundtable_protocol::ids::{LeaseId, Seq, Stream, TurnId};
use roundtable_protocol::model::{EndReason, Usage};
use roundtable_protocol::view::utf16_len;

use super::{From, Item, Outcome, Server, Want};

const WORDS: [&str; 8] = ["well ", "so ", "😀", "über ", "yes. ", "🙂🙃 ", "no, ", "then "];

#[derive(Debug)]
pub(super) struct Driver {
    turn: TurnId,
    lease: LeaseId,
    steps_left: u64,
    /// How much is recorded. Unit: UTF-16 code units.
    recorded: u64,
    /// Streamed and not recorded.
    ahead: String,
    /// A command of its own is not answered yet.
    waits: bool,
    started: bool,
}

impl Server {
    /// Claims the turn that is owed, or records the archive that is, once.
    pub(super) fn start_owed(&mut self) {
        if self.driver.is_some() {
            return;
        }
        let (turn, driver) = match self.committed.owed().into_iter().next() {
            Some(Owed::StartTurn { turn, driver, .. }) => (turn, driver),
            Some(Owed::Archive) => return self.archive(),
            None => return,
        };
        let lease = LeaseId(self.rng.uuid());
        let steps_left = self.rng.between(1, 9);
        self.driver =
            Some(Driver { turn, lease, steps_left, recorded: 0, ahead: String::new(), waits: true, started: false });
        self.by_driver(Command::TurnStart(TurnStart { turn, lease, driver, label: "Scripted".to_owned() }));
    }

    /// Records that the log of the ended session is whole, unless that is under way.
    fn archive(&mut self) {
        let is_archive = |item: &Item| {
            item.envelope.as_ref().is_some_and(|envelope| matches!(envelope.command, Command::SessionArchive(_)))
        };
        if self.in_flight.is_none() && !self.inbox.iter().any(is_archive) {
            self.by_driver(Command::SessionArchive(SessionArchived { heads: Vec::new() }));
        }
    }

    fn by_driver(&mut self, command: Command) {
        let key = self.rng.uuid();
        self.enqueue(From::Driver, key, Some(command));
    }

    /// The assistant's next step: some text, now and then a record, at last an end.
    pub fn drive(&mut self) {
        let Some(driver) = &mut self.driver else { return };
        self.out.push_back(Want::Drive);
        if driver.waits {
            return;
        }
        if driver.steps_left == 0 {
            if driver.ahead.is_empty() {
                self.finish();
            } else {
                self.record();
            }
            return;
        }
        driver.steps_left -= 1;
        let Some(running) = self.committed.running_turn().filter(|t| t.turn == driver.turn) else { return };
        let offset = driver.recorded + utf16_len(&driver.ahead);
        let text = *self.rng.pick(&WORDS).expect("not empty");
        driver.ahead.push_str(text);
        let delta = Delta {
            session_id: self.session_id,
            turn: driver.turn,
            message: running.answer,
            offset,
            text: text.to_owned(),
        };
        let records = self.rng.chance(400);
        let readers: Vec<_> = self.peers.iter().filter(|(_, p)| p.reads(Stream::Main)).map(|(conn, _)| *conn).collect();
        for conn in readers {
            // Ephemeral: lost now and then even while the connection stands.
            if !self.rng.chance(100) {
                self.send(conn, ServerFrame::Delta(delta.clone()));
            }
        }
        if records {
            self.record();
        }
    }

    fn record(&mut self) {
        let Some(driver) = &mut self.driver else { return };
        driver.waits = true;
        let text = std::mem::take(&mut driver.ahead);
        let (turn, lease, offset) = (driver.turn, driver.lease, driver.recorded);
        driver.recorded += utf16_len(&text);
        self.by_driver(Command::TurnProgress(TurnProgress { turn, lease, offset, text, pace: Vec::new() }));
    }

    fn finish(&mut self) {
        let fails = self.rng.chance(150);
        let Some(driver) = &mut self.driver else { return };
        driver.waits = true;
        let (turn, lease, usage) = (driver.turn, driver.lease, Usage::default());
        self.by_driver(if fails {
            let (code, detail) = ("scripted".to_owned(), "it was to fail".to_owned());
            Command::TurnFail(TurnFail { turn, lease, code, detail, usage })
        } else {
            Command::TurnComplete(TurnComplete { turn, lease, hash: String::new(), reason: EndReason::EndTurn, usage })
        });
    }

    /// A command of the assistant was answered.
    pub(super) fn driven(&mut self, item: Item, outcome: &Outcome) {
        match outcome {
            Err(Problem { retryable: true, .. }) => self.inbox.push_back(item),
            Err(_) => self.driver = None,
            Ok((_, Seq(_), _)) => self.driven_on(&item),
        }
    }

    fn driven_on(&mut self, item: &Item) {
        let Some(driver) = &mut self.driver else { return };
        driver.waits = false;
        match item.envelope.as_ref().map(|e| &e.command) {
            Some(Command::TurnStart(_)) if !driver.started => {
                driver.started = true;
                self.out.push_back(Want::Drive);
            }
            Some(Command::TurnComplete(_) | Command::TurnFail(_)) => self.driver = None,
            _ => {}
        }
    }
}
