//! One run: time, the network, chaos, and the way from a seed to a verdict.
//!
//! Owns: the order of everything that happens. Must not know: the rules of sessions. Invariant: everything that could
//! come in another order comes in the order of (time, number of the plan).
//!
//! | module | holds |
//! |---|---|
//! | `chaos` | what breaks, and what comes back |
//! | `link` | connections: delay, loss, half-open, and who is told |
//! | `finish` | quiet, then the comparison of everything with everything |

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use roundtable_client::Output;
use roundtable_core::{Caller, Context, Founding, Session};
use roundtable_protocol::Code;
use roundtable_protocol::command::{Command, ParticipantJoin};
use roundtable_protocol::event::EventBody;
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::{DEFAULT_PROJECT, Epoch, SessionId, Stream, Timestamp, UserId};
use roundtable_protocol::model::{ParticipantKind, SessionKind, Settings, Visibility};
use uuid::Uuid;

use self::link::Conn;
use crate::check::Checks;
use crate::disk::{Commit, Disk};
use crate::grants;
use crate::person::Person;
use crate::rng::{DAY_ONE_MS, Rng};
use crate::server::{Server, Want};

mod chaos;
mod finish;
mod link;

/// A mistake planted on purpose: the checks must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The fan-out leaves an event out.
    Skip,
    /// A retried key is not looked up, so it is recorded twice.
    Double,
    /// The fan-out swaps two events.
    Swap,
    /// A snapshot is older than it says.
    StaleSnapshot,
    /// Commands are acknowledged before they are durable.
    AckBeforeCommit,
    /// A resuming reader is treated as if it were up to date.
    ForgottenResume,
}

impl Fault {
    /// Every fault with its name.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Skip, "skip"),
        (Self::Double, "double"),
        (Self::Swap, "swap"),
        (Self::StaleSnapshot, "stale-snapshot"),
        (Self::AckBeforeCommit, "ack-before-commit"),
        (Self::ForgottenResume, "forgotten-resume"),
    ];
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// A hash over everything that happened, in order.
    pub trace: u64,
    /// What was wrong.
    pub violation: Option<String>,
    /// How many events the log has.
    pub events: usize,
    /// How many of them are about branches, checkpoints that were gone back to, copies and the shared context.
    pub branching: usize,
    /// How often the server died.
    pub crashes: u64,
    /// How many connections were opened.
    pub connections: u64,
    /// How many snapshots were sent.
    pub snapshots: u64,
}

/// Something that is planned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plan {
    /// A person does something.
    Act(usize),
    /// A client's deadline.
    Tick(usize),
    /// A client's socket opens, or does not.
    Open(usize, u64),
    /// A frame arrives: at the server or at the client.
    Arrive { conn: u64, at_server: bool },
    /// The server forgets a connection that says nothing.
    Reap(u64),
    /// The server takes what waits.
    Step(u64),
    /// The commit reaches the disk.
    Write(u64),
    /// The server learns how that went.
    Written(u64),
    /// The server reads for a join.
    Read(u64, u64, u64),
    /// The assistant's next step.
    Drive(u64),
    /// Once a second.
    Second,
    /// Something breaks.
    Chaos,
    /// The server comes back.
    Restart,
}

/// A run in progress.
struct World {
    seed: u64,
    aloud: bool,
    now: u64,
    plans: BinaryHeap<Reverse<(u64, u64, Plan)>>,
    planned: u64,
    rng: Rng,
    fault: Option<Fault>,
    session: SessionId,
    /// How far the machine's calendar is off. Unit: milliseconds.
    jump: i64,
    /// What the server last took for the time, and when. Unit: milliseconds.
    clock: (i64, u64),
    disk: Disk,
    /// What the server wants written, and how the disk answered.
    writing: Option<(Commit, Option<Result<(), Code>>)>,
    server: Option<Server>,
    /// Counts the server's lives; plans of an earlier life are void.
    life: u64,
    stepping: bool,
    people: Vec<Person>,
    conns: BTreeMap<u64, Conn>,
    next_conn: u64,
    /// Frames travel as JSON text.
    as_text: bool,
    chaos_until: u64,
    checks: Checks,
    trace: u64,
    crashes: u64,
    snapshots: u64,
    /// Some moment in the past: how much of the log was folded into this state.
    checkpoint: Option<(usize, Session)>,
}

/// Plays one seed.
pub fn run(seed: u64, fault: Option<Fault>) -> Report {
    play(World::new(seed, fault))
}

/// Plays one seed and tells every frame and every death on standard error.
pub fn run_aloud(seed: u64, fault: Option<Fault>) -> Report {
    play(World { aloud: true, ..World::new(seed, fault) })
}

fn play(mut world: World) -> Report {
    let deadline = world.chaos_until + finish::PATIENCE_MS;
    while let Some(Reverse((at, _, plan))) = world.plans.pop() {
        if at > deadline || world.checks.violation.is_some() {
            break;
        }
        world.now = at;
        let was_second = plan == Plan::Second;
        world.happen(plan);
        if was_second && world.now > world.chaos_until && world.is_quiet() {
            break;
        }
    }
    world.finish();
    Report {
        seed: world.seed,
        trace: world.trace,
        violation: world.checks.violation,
        events: world.disk.log().len(),
        branching: world.disk.log().iter().filter(|event| is_branching(&event.body)).count(),
        crashes: world.crashes,
        connections: world.next_conn,
        snapshots: world.snapshots,
    }
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = Rng::new(seed, 0);
        let session = SessionId(rng.uuid());
        let disk = found(session, &mut rng);
        let people = (0..rng.between(2, 5))
            .map(|i| {
                let index = usize::try_from(i).expect("small");
                Person::new(index, user(index), session, Rng::new(seed, 100 + i))
            })
            .collect();
        let mut world = Self {
            seed,
            aloud: false,
            now: 0,
            plans: BinaryHeap::new(),
            planned: 0,
            fault,
            session,
            jump: 0,
            clock: (DAY_ONE_MS, 0),
            server: Some(Server::load(session, &disk, fault, Rng::new(seed, 1))),
            disk,
            writing: None,
            life: 0,
            stepping: false,
            people,
            conns: BTreeMap::new(),
            next_conn: 0,
            as_text: seed.is_multiple_of(8),
            chaos_until: rng.between(20_000, 60_000),
            checks: Checks::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            crashes: 0,
            snapshots: 0,
            checkpoint: None,
            rng,
        };
        world.plan(1_000, Plan::Second);
        world.plan(3_000, Plan::Chaos);
        for index in 0..world.people.len() {
            world.people[index].machine.connect();
            world.drain(index);
            let delay = world.rng.between(10, 2_000);
            world.plan(delay, Plan::Act(index));
        }
        world
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.aloud {
            eprintln!("{:>7} {}", self.now, what());
        }
    }

    fn plan(&mut self, delay: u64, plan: Plan) {
        self.planned += 1;
        self.plans.push(Reverse((self.now + delay, self.planned, plan)));
    }

    /// FNV-1a over what happened.
    fn note(&mut self, what: u64) {
        for byte in what.to_be_bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Returns what the server takes for the time: the machine's calendar, but never slower than time passes and never
    /// before the session's last event. Otherwise a calendar that is set back would keep a lease alive for as long.
    fn calendar(&mut self) -> Timestamp {
        let signed = |ms: u64| i64::try_from(ms).expect("minutes");
        let (last, at) = self.clock;
        let ms = (DAY_ONE_MS + self.jump + signed(self.now)).max(last + signed(self.now - at));
        self.clock = (ms, self.now);
        Timestamp::from_millisecond(ms).expect("in this century")
    }

    fn is_chaos(&self) -> bool {
        self.now < self.chaos_until
    }

    fn happen(&mut self, plan: Plan) {
        self.note(self.now);
        match plan {
            Plan::Act(index) => self.act(index),
            Plan::Tick(index) => self.tick(index),
            Plan::Open(index, conn) => self.open(index, conn),
            Plan::Arrive { conn, at_server } => self.arrive(conn, at_server),
            Plan::Reap(conn) => self.server_loses(conn),
            Plan::Step(life) if life == self.life => {
                self.stepping = false;
                let now = self.calendar();
                if let Some(server) = &mut self.server {
                    server.step(now, &self.disk);
                }
                self.serve();
            }
            Plan::Write(life) if life == self.life => self.write(),
            Plan::Written(life) if life == self.life => self.written(),
            Plan::Read(life, conn, join) if life == self.life => {
                if let Some(server) = &mut self.server {
                    server.read(conn, join, &self.disk, &mut self.checks);
                }
                self.serve();
            }
            Plan::Drive(life) if life == self.life => {
                if let Some(server) = &mut self.server {
                    server.drive();
                }
                self.serve();
            }
            Plan::Second => self.second(),
            Plan::Chaos => self.chaos(),
            Plan::Restart => self.restart(),
            Plan::Step(_) | Plan::Write(_) | Plan::Written(_) | Plan::Read(..) | Plan::Drive(_) => {}
        }
    }

    fn act(&mut self, index: usize) {
        if !self.is_chaos() {
            return;
        }
        let delay = if self.rng.chance(50) { 5_000 } else { self.rng.between(20, 900) };
        self.plan(delay, Plan::Act(index));
        self.people[index].machine.tick(self.now);
        match self.rng.below(100) {
            0..4 => self.knock(index),
            4..6 => self.people[index].machine.close(),
            6..9 => self.people[index].machine.connect(),
            9 if self.people[index].refused => self.subscribe(index),
            10..12 => (0..self.rng.between(5, 45)).for_each(|_| self.command(index)),
            _ => self.command(index),
        }
        self.drain(index);
    }

    fn command(&mut self, index: usize) {
        let person = &mut self.people[index];
        if let Some((stream, command)) = person.wish(self.session, &mut self.rng) {
            let key = person.machine.command(self.session, stream, &command);
            self.checks.gives(index, key);
        }
    }

    /// Asks the door to be let in.
    fn knock(&mut self, index: usize) {
        let user = self.people[index].user;
        let role = *self.rng.pick(&[Role::Viewer, Role::Collaborator, Role::Moderator]).expect("not empty");
        if let Some(server) = &mut self.server {
            server.house(Some(Command::ParticipantJoin(ParticipantJoin {
                user,
                kind: ParticipantKind::User,
                role,
                display_name: format!("Guest {index}"),
                guest: true,
                via: None,
                colour: None,
                vouched: false,
            })));
        }
        self.subscribe(index);
        self.serve();
    }

    fn subscribe(&mut self, index: usize) {
        self.people[index].refused = false;
        self.people[index].machine.subscribe(self.session, [Stream::Main, Stream::Side]);
    }

    fn tick(&mut self, index: usize) {
        if self.people[index].tick_at.take_if(|at| *at <= self.now).is_some() {
            self.people[index].machine.tick(self.now);
            self.drain(index);
        }
    }

    /// Carries out what a client wants.
    fn drain(&mut self, index: usize) {
        while let Some(output) = self.people[index].machine.poll() {
            match output {
                Output::Connect => self.dial(index),
                Output::Close => self.hang_up(index),
                Output::Send(frame) => self.send_up(index, *frame),
                Output::Settled { key, result: Ok(ok), .. } => self.checks.acknowledges(key, ok.stream, ok.seq),
                Output::Settled { key, result: Err(_), .. } => self.checks.refuses(key),
                Output::Refused { .. } => self.people[index].refused = true,
                Output::Changed(_) => self.observe(index),
                Output::Status(_) | Output::Postponed { .. } | Output::Applied { .. } | Output::Ephemeral(_) => {}
            }
        }
        let person = &mut self.people[index];
        let deadline = person.machine.deadline();
        if let Some(at) = deadline
            && person.tick_at.is_none_or(|planned| at < planned)
        {
            person.tick_at = Some(at.max(self.now));
            self.plan(at.saturating_sub(self.now), Plan::Tick(index));
        }
    }

    fn observe(&mut self, index: usize) {
        for stream in [Stream::Main, Stream::Side] {
            let seq = self.people[index].machine.session(self.session).and_then(|s| s.position(stream));
            self.checks.holds(index, stream, seq);
        }
    }

    /// Carries out what the server wants.
    fn serve(&mut self) {
        for key in self.server.as_mut().map(|s| std::mem::take(&mut s.declined)).unwrap_or_default() {
            self.checks.declines(key);
        }
        while let Some(want) = self.server.as_mut().and_then(|s| s.out.pop_front()) {
            match want {
                Want::Send(conn, frame) => self.send_down(conn, *frame),
                Want::Events(conn, stream, events) => self.send_events(conn, stream, events),
                Want::Append(commit) => {
                    self.writing = Some((commit, None));
                    let delay = if self.is_chaos() && self.rng.chance(30) { 800 } else { self.rng.between(1, 20) };
                    self.plan(delay, Plan::Write(self.life));
                }
                Want::Read(conn, join) => {
                    let delay = self.rng.between(1, 60);
                    self.plan(delay, Plan::Read(self.life, conn, join));
                }
                Want::Drive => {
                    let delay = self.rng.between(20, 400);
                    self.plan(delay, Plan::Drive(self.life));
                }
            }
        }
        if !self.stepping && self.server.as_ref().is_some_and(|s| !s.is_idle()) {
            self.stepping = true;
            let delay = self.rng.between(1, 6);
            self.plan(delay, Plan::Step(self.life));
        }
    }

    fn write(&mut self) {
        let fails = self.is_chaos() && self.rng.chance(40);
        let code = if self.rng.chance(250) { Code::StorageFull } else { Code::Unavailable };
        let Some((commit, result)) = &mut self.writing else { return };
        if fails {
            *result = Some(Err(code));
        } else {
            self.disk.write(commit);
            *result = Some(Ok(()));
            let ids: Vec<_> = commit.events.iter().map(|e| e.header.id.0.as_u64_pair()).collect();
            ids.into_iter().for_each(|(high, low)| self.note(high ^ low));
        }
        let delay = self.rng.between(0, 15);
        self.plan(delay, Plan::Written(self.life));
    }

    fn written(&mut self) {
        let Some((_, Some(result))) = self.writing.take() else { return };
        if let Some(server) = &mut self.server {
            server.appended(result, &self.disk, &mut self.checks);
            if self.rng.chance(10) {
                self.checkpoint = Some((self.disk.log().len(), server.session().clone()));
            }
        }
        self.serve();
    }

    fn second(&mut self) {
        self.plan(1_000, Plan::Second);
        let now = self.calendar();
        let beats = self.now.is_multiple_of(15_000);
        if let Some(server) = &mut self.server {
            if server.session().next_deadline().is_some_and(|at| at <= now) {
                server.house(None);
            }
            if beats {
                server.heads();
            }
        }
        self.serve();
        if self.now >= self.chaos_until && self.now < self.chaos_until + 1_000 {
            self.calm();
        }
        if self.now >= self.chaos_until {
            self.come_back();
        }
    }
}

fn is_branching(body: &EventBody) -> bool {
    let of = ["branch.", "checkpoint.restored", "session.forked", "context."];
    let copies = matches!(body, EventBody::MessagePosted(data) if data.copied_from.is_some());
    copies || of.iter().any(|kind| body.kind().starts_with(kind))
}

fn user(index: usize) -> UserId {
    UserId::derive(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0099), index as u64)
}

/// Returns how a session of Ana's begins, with an assistant.
fn founding(session: SessionId, epoch: Epoch) -> Founding {
    Founding {
        session,
        epoch,
        project: DEFAULT_PROJECT,
        owner: user(0),
        owner_name: "Ana".to_owned(),
        owner_colour: None,
        title: String::new(),
        kind: SessionKind::Collaborative,
        visibility: Visibility::Private,
        settings: Settings::default(),
        description: String::new(),
        tags: Vec::new(),
        category: None,
        expires_at: None,
        start: true,
        assistant: Some((user(1_000), "Assistant".to_owned())),
    }
}

/// Makes the session and starts it.
fn found(session: SessionId, rng: &mut Rng) -> Disk {
    let founding = founding(session, Epoch::from_random(rng.draw().to_be_bytes()));
    let empty = Session::empty(session);
    let grant = grants::system(&empty);
    let now = Timestamp::from_millisecond(DAY_ONE_MS).expect("in this century");
    let cx = Context { now, caller: Caller::System, grant: &grant, present: &[], uploads: &[] };
    let decision = Session::create(&cx, rng.uuid(), &founding).expect("these fields are usable");
    let mut disk = Disk::default();
    disk.write(&Commit { events: decision.events, redactions: decision.redactions });
    disk
}
