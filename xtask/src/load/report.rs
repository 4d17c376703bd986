//! The table: what was measured, beside what is promised (DESIGN 6).

use super::append;
use super::fanout::{self, Kind};
use super::join;
use super::library;
use super::peers::System;
use super::sessions;
use super::start;

/// One line of the table.
struct Row {
    what: String,
    ours: String,
    socket_io: String,
    bun: String,
    promise: String,
    held: Option<bool>,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

/// What one system with one number of receivers gave, over all rounds.
pub struct Rounds {
    pub receivers: usize,
    pub figures: Vec<fanout::Figures>,
    pub memory: Vec<(System, f64)>,
}

impl Rounds {
    /// Returns the figures of the round whose rate is the median.
    fn median(&self, system: System, kind: Kind, burst: bool) -> Option<&fanout::Figures> {
        let wanted = |f: &&fanout::Figures| f.system == system && f.kind == kind && f.burst == burst;
        let mut found: Vec<_> = self.figures.iter().filter(wanted).collect();
        found.sort_by(|a, b| a.per_cpu_second.total_cmp(&b.per_cpu_second));
        found.get(found.len() / 2).copied()
    }

    fn median_memory(&self, system: System) -> Option<f64> {
        let mut found: Vec<f64> = self.memory.iter().filter(|(of, _)| *of == system).map(|(_, each)| *each).collect();
        found.sort_by(f64::total_cmp);
        found.get(found.len() / 2).copied()
    }
}

impl Report {
    fn row(&mut self, what: String, ours: String, promise: &str, held: Option<bool>) {
        let none = String::new;
        self.rows.push(Row { what, ours, socket_io: none(), bun: none(), promise: promise.to_owned(), held });
    }

    /// Adds fan-out lines for one number of receivers.
    pub fn fanout(&mut self, rounds: &Rounds) {
        let lines = [
            (Kind::Message, false, "recorded messages, paced"),
            (Kind::Ephemeral, false, "pointers (not stored), paced"),
            (Kind::Message, true, "recorded messages, 16 in flight"),
            (Kind::Delta, true, "pieces of an answer, 16 in flight"),
        ];
        for (kind, burst, name) in lines {
            let ours = rounds.median(System::Ours, kind, burst);
            let socket_io = rounds.median(System::SocketIo, Kind::Message, burst);
            let bun = rounds.median(System::Bun, Kind::Message, burst);
            if ours.is_none() && (kind != Kind::Message || socket_io.or(bun).is_none()) {
                continue;
            }
            let ratio = |peer: Option<&fanout::Figures>| Some(ours?.per_cpu_second / peer?.per_cpu_second);
            let (to_socket_io, to_bun) = (ratio(socket_io), ratio(bun));
            let judged = rounds.receivers == 1_000;
            let (promise, held) = match (kind, burst) {
                (Kind::Message, false) if judged => (
                    ">= 1.5x socket.io and >= 0.75x Bun",
                    to_socket_io.zip(to_bun).map(|(one, two)| one >= 1.5 && two >= 0.75),
                ),
                (Kind::Delta, true) if judged => (">= 12x socket.io", to_socket_io.map(|ratio| ratio >= 12.0)),
                _ => ("", None),
            };
            self.rows.push(Row {
                what: format!("{} receivers, {name}", thousands(rounds.receivers as f64)),
                ours: ours.map(cell).unwrap_or_default(),
                socket_io: beside(socket_io, to_socket_io),
                bun: beside(bun, to_bun),
                promise: promise.to_owned(),
                held,
            });
        }
    }

    /// Adds the line about idle connections.
    pub fn idle(&mut self, rounds: &Rounds) {
        let Some(ours) = rounds.median_memory(System::Ours) else { return };
        let show = |system| rounds.median_memory(system).map(|each| format!("{:.1} KB", each / 1024.0));
        self.rows.push(Row {
            what: format!("memory of each of {} idle connections", thousands(rounds.receivers as f64)),
            ours: format!("{:.1} KB, logged in and subscribed", ours / 1024.0),
            socket_io: show(System::SocketIo).unwrap_or_default(),
            bun: show(System::Bun).unwrap_or_default(),
            promise: "<= 12 KB".into(),
            held: Some(ours <= 12.0 * 1024.0),
        });
    }

    /// Adds the lines about 500 sessions of four.
    pub fn sessions(&mut self, paced: &sessions::Figures, saturated: &sessions::Figures) {
        self.row(
            "500 sessions x 4 people, 2,000 messages/s paced: command to `ok`".into(),
            format!("{}; delivered {}; {}", times(paced.ack_ms), times(paced.delivery_ms), work(paced)),
            "p99 <= 20 ms",
            Some(paced.ack_ms.1 <= 20.0),
        );
        self.row(
            "500 sessions x 4 people, saturated (2,000 writers, one message each in flight)".into(),
            format!(
                "{} messages/s, {} deliveries/s; `ok` {}; {}",
                thousands(saturated.messages_per_second),
                thousands(saturated.deliveries_per_second),
                times(saturated.ack_ms),
                work(saturated)
            ),
            ">= 10,000 messages/s, 40,000 deliveries/s",
            Some(saturated.messages_per_second >= 10_000.0 && saturated.deliveries_per_second >= 40_000.0),
        );
    }

    /// Adds the line about one session of 500 writers, of whom some read.
    pub fn hot(&mut self, readers: usize, figures: &sessions::Figures) {
        self.row(
            format!("one session, 500 writers, {readers} of them read"),
            format!(
                "{} events/s, {} deliveries/s; `ok` {}; {}",
                thousands(figures.messages_per_second),
                thousands(figures.deliveries_per_second),
                times(figures.ack_ms),
                work(figures)
            ),
            ">= 10,000 events/s",
            Some(figures.messages_per_second >= 10_000.0),
        );
    }

    /// Adds the line about quiet sessions beside a busy one: the round with the median ratio, and all ratios.
    ///
    /// # Panics
    /// Without a round.
    pub fn isolation(&mut self, mut rounds: Vec<sessions::Isolation>) {
        rounds.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let all: Vec<_> = rounds.iter().map(|round| format!("{:.2}", round.ratio())).collect();
        let median = &rounds[rounds.len() / 2];
        let what = format!("50 quiet sessions beside one at {}/s: ack p99", thousands(median.busy.messages_per_second));
        let ours = format!(
            "{} ms, alone {} ms: {:.2}x (rounds: {}; generator {:.2} cores)",
            short(median.beside.ack_ms.1),
            short(median.alone.ack_ms.1),
            median.ratio(),
            all.join(", "),
            median.beside.generator_cores
        );
        self.row(what, ours, "< 1.2x", Some(median.ratio() < 1.2));
    }

    /// Adds the lines about the engine as a library.
    pub fn library(&mut self, figures: &[library::Figures]) {
        for of in figures {
            let ratio = of.ratio();
            let ours = format!(
                "{}/s; plain asyncio, which keeps a list: {}/s: {ratio:.2}x; over SQLite {}/s",
                thousands(of.memory),
                thousands(of.asyncio),
                thousands(of.sqlite)
            );
            let what = format!("messages through the library, in memory, 64 callers, watched by {}", of.watchers);
            self.row(what, ours, ">= 20x", Some(ratio >= 20.0));
        }
    }

    /// Adds the lines about joins.
    pub fn join(&mut self, figures: &join::Figures) {
        self.row(
            "joining 10,000 events, warm: TCP connect to first content, p50".into(),
            format!(
                "{:.1} ms ({:.1} from `subscribe`); {:.2} ms of server CPU",
                figures.warm_ms, figures.warm_subscribe_ms, figures.warm_cpu_ms
            ),
            "<= 5 ms",
            Some(figures.warm_ms <= 5.0),
        );
        self.row(
            "the same, server just started".into(),
            format!("{:.1} ms ({:.1} from `subscribe`)", figures.cold_ms, figures.cold_subscribe_ms),
            "<= 15 ms",
            Some(figures.cold_ms <= 15.0),
        );
    }

    /// Adds the lines about durable appends.
    pub fn append(&mut self, all: &[append::Figures]) {
        for figures in all {
            self.row(
                format!("durable appends, {} callers over 100 sessions, in process", thousands(figures.callers as f64)),
                format!(
                    "{} events/s, {}; bare group commit {}/s: **{:.2}x** (the store alone: {}/s)",
                    thousands(figures.manager),
                    times((figures.p50_ms, figures.p99_ms)),
                    thousands(figures.bare),
                    figures.ratio,
                    thousands(figures.store),
                ),
                ">= 0.7x of the bare loop",
                Some(figures.ratio >= 0.7),
            );
        }
    }

    /// Adds the lines about a fresh server.
    pub fn start(&mut self, figures: &start::Figures) {
        let (memory, binary) = (figures.memory as f64 / 1e6, figures.binary as f64 / 1e6);
        self.row(
            "process start to page served".into(),
            format!("{:.0} ms", figures.page_ms),
            "< 1 s",
            Some(figures.page_ms < 1_000.0),
        );
        self.row("memory of a fresh server".into(), format!("{memory:.1} MB"), "<= 40 MB", Some(memory <= 40.0));
        self.row("binary, stripped".into(), format!("{binary:.1} MB"), "<= 60 MB", Some(binary <= 60.0));
    }

    /// Returns the table as Markdown.
    pub fn markdown(&self) -> String {
        let mut text =
            String::from("| measure | Roundtable | socket.io | Bun | promise | held |\n|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let held = match row.held {
                Some(true) => "yes",
                Some(false) => "**falls short**",
                None => "",
            };
            let Row { what, ours, socket_io, bun, promise, .. } = row;
            text.push_str(&format!("| {what} | {ours} | {socket_io} | {bun} | {promise} | {held} |\n"));
        }
        text
    }

    /// Returns what falls short, by name.
    pub fn short(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| row.held == Some(false)).map(|row| row.what.as_str()).collect()
    }
}

fn cell(figures: &fanout::Figures) -> String {
    let rate = short(figures.per_cpu_second);
    let clock = if figures.burst { format!(" ({}/s)", short(figures.per_second)) } else { String::new() };
    format!("**{rate}**{clock}, {}", times((figures.p50_ms, figures.p99_ms)))
}

fn beside(peer: Option<&fanout::Figures>, ratio: Option<f64>) -> String {
    let Some(peer) = peer else { return String::new() };
    ratio.map_or_else(|| cell(peer), |ratio| format!("{}: {ratio:.2}x", cell(peer)))
}

fn work(figures: &sessions::Figures) -> String {
    let generator = if figures.generator_cores > 0.9 { ", which is all it has" } else { "" };
    format!(
        "{} deliveries/CPU-s; server {:.2} cores, generator {:.2}{generator}",
        short(figures.deliveries_per_cpu_second),
        figures.cores,
        figures.generator_cores
    )
}

/// Median and 99th percentile.
fn times((p50, p99): (f64, f64)) -> String {
    let show = |ms: f64| if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") };
    format!("{} / {} ms", show(p50), show(p99))
}

/// Writes a rate with three figures.
fn short(value: f64) -> String {
    match value {
        v if v >= 999_500.0 => format!("{:.2}M", v / 1e6),
        v if v >= 99_950.0 => format!("{:.0}k", v / 1e3),
        v if v >= 1_000.0 => format!("{:.1}k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

/// Writes a whole number with commas.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_keeps_its_promise_only_at_twenty_times_python() {
        let of = |memory, watchers| library::Figures { watchers, memory, sqlite: 9_000.0, asyncio: 10_000.0 };
        let mut report = Report::default();
        report.library(&[of(4_000.0, 1), of(200_000.0, 100)]);
        let [slow, fast] = &report.rows[..] else { panic!("a line for each number of watchers") };
        assert_eq!((slow.held, fast.held), (Some(false), Some(true)));
        assert_eq!(slow.ours, "4,000/s; plain asyncio, which keeps a list: 10,000/s: 0.40x; over SQLite 9,000/s");
        assert!(fast.ours.contains("20.00x") && fast.what.ends_with("watched by 100"), "{} {}", fast.what, fast.ours);
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [short(950.0), short(12_345.0), short(146_200.0), short(2_214_000.0)],
            ["950", "12.3k", "146k", "2.21M"]
        );
        assert_eq!(
            [thousands(0.0), thousands(999.0), thousands(10_000.0), thousands(1_234_567.0)],
            ["0", "999", "10,000", "1,234,567"]
        );
        assert_eq!(times((0.63, 71.2)), "0.6 / 71 ms");
    }

    #[test]
    fn what_falls_short_is_said() {
        let mut report = Report::default();
        report.start(&start::Figures { page_ms: 1_200.0, memory: 10_000_000, binary: 20_000_000 });
        assert_eq!(report.short(), ["process start to page served"]);
        let table = report.markdown();
        assert!(
            table.contains("| process start to page served | 1200 ms |  |  | < 1 s | **falls short** |"),
            "{table}"
        );
        assert!(table.contains("| memory of a fresh server | 10.0 MB |  |  | <= 40 MB | yes |"), "{table}");
    }
}
