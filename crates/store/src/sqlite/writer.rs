//! The one thread that writes.
//!
//! Owns: the queue, the grouping of what waits into one transaction, and who is answered when. Must not know: what
//! a job writes. Invariants: nobody is told `Ok` before the transaction is on the disk, and nobody's fault costs
//! another one anything: a group that fails is done again one by one.
//!
//! No timer makes groups: while one group is written the next one gathers, so the time of a commit is the batching window.

mod append;
mod backfill;
mod tx;

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub(super) use self::append::Prepared;
use self::backfill::Backfill;
use self::tx::Caches;
pub(super) use self::tx::Tx;
use super::lock::FolderLock;
use super::{BUSY, compact};
use crate::types::{AppendError, Appended, StoreError};

/// How many jobs wait at most before callers wait too.
const QUEUE: usize = 4_096;
/// How many jobs one transaction takes at most.
const GROUP: usize = 2_048;
/// How much one transaction takes at most, so that a group of large commits does not swell the log. Unit: bytes.
const GROUP_BYTES: usize = 16 << 20;
/// How long an erasure waits for readers before it is answered; the attempt goes on after that.
const ERASE_WITHIN: Duration = Duration::from_secs(5);
/// How long one attempt to empty the log on the disk waits for readers.
const ERASE_ATTEMPT: Duration = Duration::from_millis(25);
/// The pause between two attempts while nothing else is to be written.
const ERASE_PAUSE: Duration = Duration::from_millis(5);
/// How long nothing is written before the memory is given back that made writing faster.
const REST_AFTER: Duration = Duration::from_secs(10);
/// The pause between two attempts when nobody waits for the answer any more.
const ERASE_PAUSE_LATE: Duration = Duration::from_secs(1);

type AppendAnswer = Result<Appended, AppendError>;

/// Something to be written.
pub(super) enum Job {
    Append(Box<Prepared>, oneshot::Sender<AppendAnswer>),
    Write(Box<dyn Write>),
    Compact(oneshot::Sender<Result<(), StoreError>>),
}

/// A write other than a commit. It may be run more than once, each time on a clean state, and is answered once.
pub(super) trait Write: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

impl Job {
    /// Makes a job of a function and where its result goes.
    pub(super) fn write<T: Send + 'static>(
        run: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Self {
        Self::Write(Box::new(Function { run, result: None, reply }))
    }

    fn size(&self) -> usize {
        match self {
            Self::Append(prepared, _) => prepared.size,
            Self::Write(_) | Self::Compact(_) => 0,
        }
    }
}

struct Function<F, T> {
    run: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Write for Function<F, T>
where
    F: FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.run)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        // Whoever asked may have gone; the write stands all the same.
        let Self { reply, result, .. } = *self;
        let _ = reply.send(outcome.map(|()| result.expect("answered Ok only after it was run")));
    }
}

/// Starts the writer. It ends when every sender is gone and the queue is empty; the folder is free after that.
///
/// A server that died between a redaction and emptying the log on the disk leaves that to the next one, so it begins
/// there.
pub(super) fn start(mut conn: Connection, lock: FolderLock) -> std::io::Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
    let (sender, queue) = mpsc::channel(QUEUE);
    let backfill = Backfill::start(&mut conn).map_err(std::io::Error::other)?;
    let mut writer = Writer::new(conn, queue, Some(Erasures::new()));
    writer.backfill = Some(backfill);
    writer.erase();
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
        writer.run(&clock);
        drop(lock);
    })?;
    Ok((sender, thread))
}

struct Writer {
    conn: Connection,
    queue: mpsc::Receiver<Job>,
    caches: Caches,
    /// Since memory was given back.
    has_written: bool,
    /// A commit failed in a way that leaves open whether it would be there after a crash.
    is_unclear: bool,
    /// The last group failed; keeps the log from repeating itself.
    is_failing: bool,
    erasures: Option<Erasures>,
    /// None: SQLite does it itself.
    backfill: Option<Backfill>,
    /// What goes wrong at the next commits.
    #[cfg(test)]
    faults: std::collections::VecDeque<tests::Fault>,
}

/// Commits that erased something and the answers that wait until the log on the disk has forgotten it.
struct Erasures {
    since: Instant,
    last_try: Option<Instant>,
    answers: Vec<Box<dyn FnOnce() + Send>>,
    /// The answers were given without waiting any longer.
    is_late: bool,
}

impl Erasures {
    fn new() -> Self {
        Self { since: Instant::now(), last_try: None, answers: Vec::new(), is_late: false }
    }
}

/// What became of one job in a transaction that was committed.
struct Done {
    /// For commits.
    answer: Option<AppendAnswer>,
    erases: bool,
}

/// Why a transaction was not committed.
enum Failure {
    /// Nothing was written.
    Clean(rusqlite::Error),
    /// The disk failed at the commit itself.
    Unclear(rusqlite::Error),
}

impl Failure {
    fn error(&self) -> &rusqlite::Error {
        match self {
            Self::Clean(error) | Self::Unclear(error) => error,
        }
    }
}

impl Writer {
    fn new(conn: Connection, queue: mpsc::Receiver<Job>, erasures: Option<Erasures>) -> Self {
        Self {
            conn,
            queue,
            caches: Caches::default(),
            has_written: false,
            is_unclear: false,
            is_failing: false,
            erasures,
            backfill: None,
            #[cfg(test)]
            faults: std::collections::VecDeque::new(),
        }
    }

    fn run(mut self, clock: &Runtime) {
        while let Some(first) = self.next(clock) {
            let (group, compaction) = self.gather(first);
            self.has_written = true;
            self.write(group);
            if let Some(reply) = compaction {
                let done = compact::compact(&self.conn).map_err(|e| unwritten(&e));
                let _ = reply.send(done);
            }
            self.erase();
            if let Some(backfill) = &mut self.backfill {
                backfill.step(&self.conn);
            }
        }
        while self.erasures.as_ref().is_some_and(|erasures| !erasures.answers.is_empty()) {
            std::thread::sleep(ERASE_PAUSE);
            self.erase();
        }
        self.settle();
        if let Some(backfill) = self.backfill {
            backfill.stop();
        }
        if let Err((_, error)) = self.conn.close() {
            tracing::warn!(%error, "failed to close the database; the next start recovers it");
        }
    }

    /// Waits for a job; while something is to be erased, tries that meanwhile. Gives memory back when nothing comes for
    /// long.
    fn next(&mut self, clock: &Runtime) -> Option<Job> {
        while self.erasures.is_some() {
            match self.queue.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => {
                    std::thread::sleep(ERASE_PAUSE);
                    self.erase();
                }
            }
        }
        if let Ok(job) = self.queue.try_recv() {
            return Some(job);
        }
        if self.has_written {
            let next = async { timeout(REST_AFTER, self.queue.recv()).await };
            match clock.block_on(next) {
                Ok(job) => return job,
                Err(_) => self.give_back(),
            }
        }
        self.queue.blocking_recv()
    }

    /// Gives the memory back that only made writing faster.
    fn give_back(&mut self) {
        self.has_written = false;
        if let Err(error) = self.conn.release_memory() {
            tracing::debug!(%error, "the database keeps its memory");
        }
    }

    /// Takes what waits, up to the limits of a group or a compaction, which needs to be alone.
    fn gather(&mut self, first: Job) -> (Vec<Job>, Option<oneshot::Sender<Result<(), StoreError>>>) {
        let mut group = Vec::new();
        let mut size = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            if let Job::Compact(reply) = job {
                return (group, Some(reply));
            }
            size += job.size();
            group.push(job);
            let has_room = group.len() < GROUP && size < GROUP_BYTES;
            next = if has_room { self.queue.try_recv().ok() } else { None };
        }
        (group, None)
    }

    /// Writes a group and answers every job of it.
    fn write(&mut self, mut group: Vec<Job>) {
        let mut done = self.attempt(&mut group, false);
        if let Err(Failure::Clean(error)) = &done
            && error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        {
            done = self.attempt(&mut group, true);
        }
        let failure = match done {
            Ok(done) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("writing to the database works again");
                }
                return self.answer(group, done);
            }
            Err(failure) => failure,
        };
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::error!(error = %failure.error(), jobs = group.len(), "failed to write to the database");
        }
        if matches!(failure, Failure::Unclear(_)) && !self.settle() {
            let error = failure.error().to_string();
            return group.into_iter().for_each(|job| refuse(job, AppendError::Unknown(error.clone())));
        }
        // From here on it is certain that nothing was written. Each for itself, unless the fault is nobody's own.
        if group.len() == 1 || self.is_unclear || failure.error().sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
            let error = refusal(failure.error());
            return group.into_iter().for_each(|job| refuse(job, error.clone()));
        }
        for job in group {
            self.write(vec![job]);
        }
    }

    /// Does the jobs in one transaction. `careful`: looks for duplicates first instead of relying on the index.
    fn attempt(&mut self, group: &mut [Job], careful: bool) -> Result<Vec<Done>, Failure> {
        if !self.settle() {
            return Err(Failure::Clean(disk_fault()));
        }
        execute(&self.conn, "BEGIN IMMEDIATE").map_err(Failure::Clean)?;
        let mut done = Vec::with_capacity(group.len());
        for job in group {
            let mut tx = Tx::new(&self.conn, &mut self.caches, careful);
            let answer = match job {
                Job::Append(prepared, _) => append::append(&mut tx, prepared).map(Some),
                Job::Write(write) => write.run(&mut tx).map(|()| None),
                Job::Compact(_) => unreachable!("gathered apart"),
            };
            let erases = tx.erases;
            match answer {
                Ok(answer) => done.push(Done { answer, erases }),
                Err(error) => {
                    self.roll_back();
                    return Err(Failure::Clean(error));
                }
            }
        }
        self.commit().map_err(|error| {
            self.roll_back();
            if is_certain(&error) {
                return Failure::Clean(error);
            }
            self.is_unclear = true;
            Failure::Unclear(error)
        })?;
        Ok(done)
    }

    #[cfg(not(test))]
    fn commit(&mut self) -> rusqlite::Result<()> {
        execute(&self.conn, "COMMIT")
    }

    /// Commits, unless the test has planned that the disk fails.
    #[cfg(test)]
    fn commit(&mut self) -> rusqlite::Result<()> {
        match self.faults.pop_front() {
            Some(fault) => Err(tests::failed_sync(&self.conn, fault)),
            None => execute(&self.conn, "COMMIT"),
        }
    }

    fn roll_back(&mut self) {
        self.caches = Caches::default();
        if !self.conn.is_autocommit()
            && let Err(error) = execute(&self.conn, "ROLLBACK")
        {
            tracing::error!(%error, "failed to roll back");
        }
    }

    /// Makes sure that no earlier commit is half there, and says whether it is so.
    ///
    /// After a failed sync the frames of a commit may lie in the log with good checksums. They are invisible now, but
    /// recovery after a crash would find them. A small commit that succeeds is written over their beginning, which
    /// ends the chain of checksums: from then on they are gone for good.
    fn settle(&mut self) -> bool {
        if !self.conn.is_autocommit() {
            self.roll_back();
        }
        if self.is_unclear {
            let fence = execute(&self.conn, "UPDATE counters SET value = value + 1 WHERE name = 'fence'");
            self.is_unclear = fence.is_err();
        }
        !self.is_unclear
    }

    fn answer(&mut self, group: Vec<Job>, done: Vec<Done>) {
        for (job, done) in group.into_iter().zip(done) {
            let answer: Box<dyn FnOnce() + Send> = match (job, done.answer) {
                (Job::Append(_, reply), Some(answer)) if !done.erases => {
                    let _ = reply.send(answer);
                    continue;
                }
                (Job::Append(_, reply), Some(answer)) => Box::new(move || drop(reply.send(answer))),
                (Job::Write(write), _) if !done.erases => {
                    write.answer(Ok(()));
                    continue;
                }
                (Job::Write(write), _) => Box::new(move || write.answer(Ok(()))),
                (Job::Append(..) | Job::Compact(_), _) => unreachable!("appends have an answer; compactions are apart"),
            };
            let erasures = self.erasures.get_or_insert_with(Erasures::new);
            if erasures.answers.is_empty() {
                erasures.since = Instant::now();
            }
            erasures.answers.push(answer);
        }
    }

    /// Tries to make the log on the disk forget what was erased, then answers those who wait for it.
    fn erase(&mut self) {
        let Some(erasures) = &mut self.erasures else { return };
        let is_awaited = !erasures.answers.is_empty();
        if !is_awaited && erasures.last_try.is_some_and(|last| last.elapsed() < ERASE_PAUSE_LATE) {
            return;
        }
        erasures.last_try = Some(Instant::now());
        let outcome = forget_log(&self.conn, ERASE_ATTEMPT);
        if matches!(outcome, Ok(true)) {
            let answers = self.erasures.take().into_iter().flat_map(|erasures| erasures.answers);
            return answers.for_each(|answer| answer());
        }
        if is_awaited && erasures.since.elapsed() < ERASE_WITHIN {
            return;
        }
        if !std::mem::replace(&mut erasures.is_late, true) {
            let reason = outcome.map_or_else(|e| e.to_string(), |_| "somebody is reading".to_owned());
            tracing::warn!(reason, "erased text may still be in the log on the disk; trying on");
        }
        erasures.answers.drain(..).for_each(|answer| answer());
    }
}

/// Moves the log into the database and empties it; false when a reader was in the way for longer than `wait`.
fn forget_log(conn: &Connection, wait: Duration) -> rusqlite::Result<bool> {
    conn.busy_timeout(wait)?;
    let busy: rusqlite::Result<i64> =
        conn.prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)").and_then(|mut s| s.query_row([], |row| row.get(0)));
    conn.busy_timeout(BUSY)?;
    Ok(busy? == 0)
}

fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(|_| ())
}

fn refuse(job: Job, error: AppendError) {
    match job {
        Job::Append(_, reply) => drop(reply.send(Err(error))),
        Job::Write(write) => write.answer(Err(match error {
            AppendError::Full => StoreError::Full,
            AppendError::Unavailable(text) => StoreError::Unavailable(text),
            other => StoreError::Unavailable(other.to_string()),
        })),
        Job::Compact(_) => unreachable!("gathered apart"),
    }
}

fn refusal(error: &rusqlite::Error) -> AppendError {
    match unwritten(error) {
        StoreError::Full => AppendError::Full,
        StoreError::Unavailable(text) => AppendError::Unavailable(text),
        StoreError::Trimmed { .. } => AppendError::Unavailable("a write read what is not kept".to_owned()),
    }
}

fn unwritten(error: &rusqlite::Error) -> StoreError {
    if is_full(error) { StoreError::Full } else { StoreError::Unavailable(error.to_string()) }
}

fn is_full(error: &rusqlite::Error) -> bool {
    // The index of the log is memory-mapped; when there is no room for it, SQLite has a code of its own.
    error
        .sqlite_error()
        .is_some_and(|e| e.code == ErrorCode::DiskFull || e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// Returns whether a commit that failed with `error` is certainly not on the disk.
fn is_certain(error: &rusqlite::Error) -> bool {
    is_full(error)
        || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::ConstraintViolation))
}

fn disk_fault() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
    rusqlite::Error::SqliteFailure(code, Some("the disk does not take writes".to_owned()))
}

#[cfg(test)]
mod tests {
    use roundtable_protocol::{Rev, Stream};
    use rusqlite::ffi;

    use super::*;
    use crate::MemoryStore;
    use crate::contract::Log;
    use crate::types::Commit;

    /// A writer that is not running, on a database in memory.
    fn writer() -> Writer {
        let mut conn = Connection::open_in_memory().expect("memory");
        super::super::schema::prepare_writer(&mut conn, None).expect("prepares");
        let (_, queue) = mpsc::channel(1);
        Writer::new(conn, queue, None)
    }

    /// How the disk fails when a commit is to be synced.
    #[derive(Clone, Copy, Debug)]
    pub(super) enum Fault {
        /// Once.
        Once,
        /// From then on, until it is repaired: the fence cannot be written either.
        Lasting,
    }

    /// Does not commit, and says what SQLite says when the sync of a commit fails.
    pub(super) fn failed_sync(conn: &Connection, fault: Fault) -> rusqlite::Error {
        if matches!(fault, Fault::Lasting) {
            conn.pragma_update(None, "query_only", "ON").expect("set");
        }
        rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None)
    }

    fn repair(writer: &Writer) {
        writer.conn.pragma_update(None, "query_only", "OFF").expect("set");
    }

    /// Gives the writer a group of commits and returns their answers.
    fn append(writer: &mut Writer, commits: Vec<Commit>) -> Vec<AppendAnswer> {
        let job = |commit| {
            let (reply, answer) = oneshot::channel();
            (Job::Append(Box::new(Prepared::new(commit).expect("prepared")), reply), answer)
        };
        let (group, answers): (Vec<_>, Vec<_>) = commits.into_iter().map(job).unzip();
        writer.write(group);
        answers.into_iter().map(|mut answer| answer.try_recv().expect("answered")).collect()
    }

    #[test]
    fn a_commit_whose_sync_fails_is_answered_unknown_until_a_fence_is_written() {
        let (mut writer, elsewhere) = (writer(), MemoryStore::default());
        let some = || Log::unborn(&elsewhere).commit(&[(Stream::Main, "a")]);
        let commit = some();
        writer.faults.push_back(Fault::Lasting);
        let answers = append(&mut writer, vec![commit.clone()]);
        assert!(matches!(&answers[..], [Err(AppendError::Unknown(_))]), "{answers:?}");
        assert!(writer.is_unclear);
        // Nothing is written on top of what may come back after a crash.
        let answers = append(&mut writer, vec![some()]);
        assert!(matches!(&answers[..], [Err(AppendError::Unavailable(_))]), "{answers:?}");
        assert_eq!(fences(&writer), 0);

        repair(&writer);
        let answers = append(&mut writer, vec![commit]);
        assert_eq!(answers, [Ok(Appended { rev: Rev(1) })], "it was not there, and now it is");
        assert_eq!((writer.is_unclear, fences(&writer)), (false, 1));
    }

    #[test]
    fn after_one_failed_sync_the_fence_makes_it_certain_and_each_is_tried_for_itself() {
        let (mut writer, elsewhere) = (writer(), MemoryStore::default());
        let commits = (0..3).map(|_| Log::unborn(&elsewhere).commit(&[(Stream::Main, "a")])).collect();
        writer.faults.push_back(Fault::Once);
        assert_eq!(append(&mut writer, commits), vec![Ok(Appended { rev: Rev(1) }); 3]);
        assert_eq!((writer.is_unclear, fences(&writer)), (false, 1));
        let alone = Log::unborn(&elsewhere).commit(&[(Stream::Main, "a")]);
        writer.faults.push_back(Fault::Once);
        let answers = append(&mut writer, vec![alone.clone()]);
        assert!(matches!(&answers[..], [Err(AppendError::Unavailable(_))]), "{answers:?}");
        assert_eq!(append(&mut writer, vec![alone]), [Ok(Appended { rev: Rev(1) })]);
        assert_eq!(fences(&writer), 2);
    }

    fn fences(writer: &Writer) -> i64 {
        let sql = "SELECT value FROM counters WHERE name = 'fence'";
        writer.conn.query_row(sql, [], |row| row.get(0)).expect("counts")
    }

    #[test]
    fn after_an_unclear_commit_nothing_is_written_before_it_is_settled() {
        let mut writer = writer();
        writer.is_unclear = true;
        writer.conn.pragma_update(None, "query_only", "ON").expect("the disk takes no writes");
        let ask = || {
            let (reply, answer) = oneshot::channel();
            (Job::write(|tx| tx.raise_rights(None), reply), answer)
        };
        let (refused, mut answer) = ask();
        writer.write(vec![refused]);
        let unavailable = StoreError::Unavailable(disk_fault().to_string());
        assert_eq!(answer.try_recv(), Ok(Err(unavailable)));
        assert!(writer.is_unclear);
        writer.conn.pragma_update(None, "query_only", "OFF").expect("the disk is back");
        let (taken, mut answer) = ask();
        writer.write(vec![taken]);
        assert_eq!(answer.try_recv(), Ok(Ok(())));
        assert_eq!((writer.is_unclear, fences(&writer)), (false, 1));
    }

    #[test]
    fn a_transaction_that_was_left_open_is_rolled_back_first() {
        let mut writer = writer();
        writer.conn.execute_batch("BEGIN; DELETE FROM counters").expect("left open");
        assert!(writer.settle());
        assert_eq!(fences(&writer), 0, "the row is there again");
    }

    #[test]
    fn only_faults_of_the_disk_leave_a_commit_open() {
        let fault = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(is_certain(&fault(code)), "{code}");
        }
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR, ffi::SQLITE_CORRUPT] {
            assert!(!is_certain(&fault(code)), "{code}");
        }
        assert_eq!(refusal(&fault(ffi::SQLITE_FULL)), AppendError::Full);
        assert_eq!(refusal(&fault(ffi::SQLITE_IOERR_SHMSIZE)), AppendError::Full);
        assert!(matches!(refusal(&fault(ffi::SQLITE_IOERR_WRITE)), AppendError::Unavailable(_)));
    }
}
