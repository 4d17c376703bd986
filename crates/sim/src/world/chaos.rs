//! What breaks, and what comes back: connections, the server, clocks, and people at the end.

use roundtable_protocol::command::{Command, SessionEnd};
use roundtable_protocol::ids::Stream;

use super::{Plan, World};
use crate::grants;
use crate::rng::Rng;
use crate::server::Server;

impl World {
    /// Whoever was let in again after losing everything asks again, as the page does after a join.
    pub(super) fn come_back(&mut self) {
        for index in 0..self.people.len() {
            let person = &self.people[index];
            let holds = person.machine.session(self.session).is_some_and(|s| s.streams().next().is_some());
            let may = |server: &Server| !grants::grant(server.session(), person.user).streams.is_empty();
            if (person.refused || !holds) && self.server.as_ref().is_some_and(may) {
                self.people[index].machine.tick(self.now);
                self.subscribe(index);
                self.drain(index);
            }
        }
    }

    /// Something breaks: a connection, the server, a clock.
    pub(super) fn chaos(&mut self) {
        if !self.is_chaos() {
            return;
        }
        let delay = self.rng.between(100, 4_000);
        self.plan(delay, Plan::Chaos);
        let conns: Vec<_> = self.conns.keys().copied().collect();
        let conn = self.rng.pick(&conns).copied();
        match (self.rng.below(100), conn) {
            (0..40, Some(conn)) => self.cut(conn),
            (40..50, Some(conn)) => self.make_hole(conn),
            (50..65, Some(conn)) => self.stall(conn),
            (65..80, _) => self.crash(false),
            (80..86, _) => self.crash(true),
            (86..92, _) => self.jump += i64::try_from(self.rng.below(7_200_000)).expect("small") - 3_600_000,
            _ => {}
        }
    }

    pub(super) fn crash(&mut self, with_notice: bool) {
        if self.server.is_none() {
            return;
        }
        self.crashes += 1;
        self.say(|| "the server dies".to_owned());
        let pause = self.rng.between(100, 3_000);
        self.cut_all(with_notice.then_some(pause));
        self.server = None;
        self.writing = None;
        self.stepping = false;
        self.life += 1;
        self.plan(pause, Plan::Restart);
    }

    pub(super) fn restart(&mut self) {
        let rng = Rng::new(self.rng.draw(), 2);
        let server = Server::load(self.session, &self.disk, self.fault, rng);
        self.clock = (server.session().last_at().as_millisecond(), self.now);
        self.server = Some(server);
        self.serve();
    }

    /// Chaos is over: everybody who went offline comes back; now and then the session ends.
    pub(super) fn calm(&mut self) {
        for index in 0..self.people.len() {
            self.people[index].machine.tick(self.now);
            self.people[index].machine.connect();
            if index == 0 && self.rng.chance(250) {
                let end = Command::SessionEnd(SessionEnd::default());
                let key = self.people[0].machine.command(self.session, Stream::Main, &end);
                self.checks.gives(0, key);
            }
            self.drain(index);
        }
    }
}
