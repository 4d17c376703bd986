//! The server dies, and nothing that was acknowledged is lost. `make soak` does the same for much longer.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::{Method, StatusCode};
use roundtable_client::trial::rounds::{self, Plan};
use roundtable_client::trial::server::{Launch, Server};
use serde_json::{Value, json};

use crate::support::{Answer, Person, eventually_async};

#[tokio::test(flavor = "multi_thread")]
async fn i1_to_i9_hold_when_the_server_is_killed_while_twenty_people_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(env!("CARGO_BIN_EXE_roundtable"), folder.path().join("data"));
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    // Short rounds, but all there is to them: turns that lose their server, people who vanish.
    let plan = Plan { seed, rounds: 20, writers: 20, readers: 3, round_ms: 150, slow: true };
    let report = rounds::run(&rounds::unlimited(launch), &plan).await.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.kills >= 20 && report.acked > 400 && report.reads > 0, "the trial was no trial: {report}");
}

/// A session of Ana's on a server that dies. "first" was said and written on the main branch, "second" and "third" on
/// another one that leaves it there; a checkpoint is in between.
struct Victim {
    launch: Launch,
    server: Server,
    _folder: tempfile::TempDir,
    ana: Person,
    session: String,
    main: String,
    branch: String,
    point: String,
    first: Value,
    second: Value,
    third: Value,
}

impl Victim {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let launch = Launch::new(env!("CARGO_BIN_EXE_roundtable"), folder.path().join("data"));
        let launch = rounds::unlimited(launch);
        let server = launch.start(0).await.expect("started");
        let ana = Person::stranger(&base(&server)).named("Ana").await;
        let session = ana.session().await;
        let at = |path: &str| format!("/sessions/{session}{path}");
        let write = async |branch: &str, value: &str| {
            let call = ana.call(Method::PATCH, &at(&format!("/context?branch={branch}")));
            let call = call.body(json!({ "at": value }).to_string());
            Answer::of(call.header("content-type", "application/merge-patch+json")).await.ok()
        };
        let first = ana.say(&session, "first").await["id"].clone();
        let main = id(&ana.get(&at("")).await.ok()["conversation_id"]);
        write(&main, "first").await;
        let point = id(&ana.post(&at("/checkpoints"), json!({"name": "first"})).await.created()["id"]);
        let branch = id(&ana.post(&at("/branches"), json!({"name": "second"})).await.created()["id"]);
        let say = async |text: &str| {
            let body = json!({"text": text, "branch": branch});
            ana.post(&at("/messages"), body).await.created()["id"].clone()
        };
        let (second, third) = (say("second").await, say("third").await);
        write(&branch, "second").await;
        Self { launch, server, _folder: folder, session, main, branch, point, first, second, third, ana }
    }

    fn at(&self, path: &str) -> String {
        format!("/sessions/{}{path}", self.session)
    }

    /// Kills the server and starts another one on what is left.
    async fn die(&mut self) {
        self.server.kill().await.expect("killed");
        self.server = self.launch.start(0).await.expect("started again");
        self.ana.base = base(&self.server);
    }

    /// Returns everything that is recorded in `main`.
    async fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let after = events.last().map_or(json!(0), |e| e["seq"].clone());
            let page = self.ana.get(&self.at(&format!("/events?stream=main&after={after}&limit=1000"))).await.ok();
            let page = page["events"].as_array().expect("events").clone();
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    async fn end(mut self) {
        self.server.stop().await.expect("stopped");
        self.launch.verify(self.session.parse().expect("an id")).await.expect("the chain is whole");
    }
}

fn base(server: &Server) -> String {
    format!("http://{}", server.address())
}

fn id(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// What pausing, going back, merging and checkpoints each write belongs together: a head and its context, a pause and its
/// checkpoint. The server dies while they go round and round; whoever reads then finds each of them whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn pauses_ways_back_merges_and_checkpoints_are_whole_or_not_at_all_when_the_server_is_killed() {
    const ROUNDS: usize = 12;
    let mut victim = Victim::begin().await;
    let at = |path: &str| format!("/sessions/{}{path}", victim.session);
    let (main, first, third) = (victim.main.clone(), victim.first.clone(), victim.third.clone());
    let moves = [
        (at(&format!("/branches/{main}/merge")), json!({"from": victim.branch, "how": "adopt"})),
        (at("/pause"), json!({})),
        (at("/resume"), json!({})),
        (at(&format!("/checkpoints/{}/restore", victim.point)), json!({"how": "in_place"})),
        (at("/checkpoints"), json!({"name": "on the way"})),
    ];
    let mut between = 0;
    for round in 0..ROUNDS {
        let (done, mut count) = tokio::sync::watch::channel(0_usize);
        let (ana_too, moves) = (victim.ana.clone(), moves.clone());
        let going = tokio::spawn(async move {
            for (n, (path, body)) in moves.iter().cycle().skip(round).enumerate() {
                // Refused, when the last one of this kind is there already; lost, when the server has died.
                if ana_too.call(Method::POST, path).json(body).send().await.is_err() || done.send(n).is_err() {
                    return;
                }
            }
        });
        let wanted = 5 + round * 7 % 11;
        count.wait_for(|n| *n >= wanted).await.expect("moves go on");
        for _ in 0..round * 5 {
            tokio::task::yield_now().await;
        }
        victim.die().await;
        drop(count);
        going.await.expect("no panic");

        let ana = &victim.ana;
        let head = ana.get(&victim.at(&format!("/branches/{main}"))).await.ok()["head"].clone();
        let context = ana.get(&victim.at("/context?path=/at")).await.ok()["value"].clone();
        assert!(head == first && context == "first" || head == third && context == "second", "{head} with {context}");
        between += usize::from(head == third);
        let events = victim.events().await;
        let count = |kind: &str, is: &dyn Fn(&Value) -> bool| {
            events.iter().filter(|e| e["kind"] == kind && is(&e["data"])).count()
        };
        let any = |_: &Value| true;
        let pauses = count("session.paused", &any);
        assert_eq!(pauses, count("checkpoint.created", &|data| data["checkpoint"]["why"] == "pause"));
        let state = if pauses == count("session.resumed", &any) { "active" } else { "paused" };
        assert_eq!(ana.get(&victim.at("")).await.ok()["state"], state);
        let (back, merged) = (count("checkpoint.restored", &any), count("branch.merged", &any));
        assert_eq!(back, count("branch.moved", &any), "a way back moves the head");
        assert_eq!(back, count("context.patched", &|data| data["reverts"].is_array()), "and takes the context back");
        assert_eq!(2 + back + merged, count("context.patched", &any), "a merge brings the context along");
        let named = ana.get(&victim.at("/checkpoints?limit=200")).await.ok()["items"].as_array().expect("a list").len();
        assert_eq!(named, count("checkpoint.created", &any), "each is in the list");
    }
    assert!((1..ROUNDS).contains(&between), "the server died on both sides: {between} of {ROUNDS}");
    victim.end().await;
}

/// A fork is two sessions, a pick as many messages as were chosen, a summary and a way back as a branch two events each. The
/// server dies earlier and later in each of them; whoever reads then finds each of them whole or not at all, and a fork that
/// the origin tells of begins by itself.
#[tokio::test(flavor = "multi_thread")]
async fn forks_picks_summaries_and_branches_of_a_checkpoint_are_whole_or_not_at_all_when_the_server_is_killed() {
    // Each of the moves is cut off at so many places: from a fifth of the time that it takes to a little more than that.
    const PLACES: u32 = 6;
    let mut victim = Victim::begin().await;
    let remembered = json!({"text": "of the first", "source": victim.first});
    victim.ana.post(&victim.at("/memories"), remembered).await.created();
    let merge = victim.at(&format!("/branches/{}/merge", victim.main));
    let picked = [victim.second.clone(), victim.third.clone()];
    let moves = [
        (victim.at("/fork"), json!({"checkpoint": victim.point})),
        (merge.clone(), json!({"from": victim.branch, "how": "pick", "messages": picked})),
        (merge, json!({"from": victim.branch, "how": "summary", "text": "in short"})),
        (victim.at(&format!("/checkpoints/{}/restore", victim.point)), json!({"how": "branch"})),
    ];
    let recorded = async |victim: &Victim| victim.events().await.len();
    let (mut before, mut after) = (0, 0);
    for place in 1..=PLACES {
        for (path, body) in &moves {
            let began = Instant::now();
            let done = victim.ana.post(path, body.clone()).await;
            assert!(matches!(done.status, StatusCode::OK | StatusCode::CREATED), "{done:?}");
            let there = recorded(&victim).await;
            let enough: Duration = began.elapsed() * place / 5;
            // Nobody waits longer than that for the answer; whether it came is another matter.
            let _ = tokio::time::timeout(enough, victim.ana.call(Method::POST, path).json(body).send()).await;
            victim.die().await;
            match recorded(&victim).await == there {
                true => before += 1,
                false => after += 1,
            }
            check_whole(&victim).await;
        }
    }
    assert!(before > 0 && after > 0, "the server died on both sides: {before} before and {after} after");
    victim.end().await;
}

/// Checks that of forks, picks, summaries and branches of the checkpoint each one is there with all that belongs to it.
async fn check_whole(victim: &Victim) {
    let events = victim.events().await;
    let (mut copies, mut summaries, mut made) = (0, 0, 0);
    for (n, event) in events.iter().enumerate() {
        let (data, next) = (&event["data"], |i: usize| &events[n + i]["data"]);
        match (event["kind"].as_str().expect("a kind"), data["how"].as_str()) {
            ("branch.merged", Some("pick")) => {
                for (i, original) in [&victim.second, &victim.third].into_iter().enumerate() {
                    assert_eq!(next(1 + i)["copied_from"]["message"], *original, "a copy of each in its order");
                    copies += 1;
                }
            }
            ("branch.merged", _) => {
                assert_eq!(next(1)["text"], "in short");
                summaries += 1;
            }
            ("branch.created", _) if data["name"] != "second" => {
                assert_eq!(next(1)["branch"], data["branch"], "the way back tells of its branch");
                check_line(victim, &victim.session, data["branch"].as_str().expect("an id")).await;
                made += 1;
            }
            ("session.forked", _) => check_fork(victim, data["session"].as_str().expect("an id")).await,
            _ => {}
        }
    }
    let count = |is: &dyn Fn(&Value) -> bool| events.iter().filter(|e| is(e)).count();
    assert_eq!(copies, count(&|e| e["data"]["copied_from"].is_object()), "none without its merge");
    assert_eq!(summaries, count(&|e| e["data"]["text"] == "in short"), "none without its merge");
    assert_eq!(made, count(&|e| e["kind"] == "checkpoint.restored"), "none without its branch");
    let branches = victim.ana.get(&victim.at("/branches")).await.ok();
    assert_eq!(branches["items"].as_array().expect("a list").len(), 2 + made);
    let path = victim.ana.get(&victim.at(&format!("/branches/{}/messages?limit=200", victim.main))).await.ok();
    assert_eq!(path["items"].as_array().expect("a list").len(), 1 + copies + summaries, "all in one line");
    let lineage = victim.ana.get(&victim.at("/lineage")).await.ok();
    assert_eq!(lineage["forks"].as_array().expect("a list").len(), count(&|e| e["kind"] == "session.forked"));
}

/// Checks that a line says what the checkpoint held.
async fn check_line(victim: &Victim, session: &str, branch: &str) {
    let path = victim.ana.get(&format!("/sessions/{session}/branches/{branch}/messages")).await.ok();
    let texts: Vec<_> = path["items"].as_array().expect("a list").iter().map(|m| &m["message"]["text"]).collect();
    assert_eq!(texts, ["first"]);
    let context = victim.ana.get(&format!("/sessions/{session}/context?branch={branch}")).await.ok();
    assert_eq!(context["value"], json!({"at": "first"}));
}

/// Checks that a session is there with all that it is a copy of, or not at all; then it comes.
async fn check_fork(victim: &Victim, copy: &str) {
    let ana = &victim.ana;
    let mut info = Value::Null;
    eventually_async("a fork begins that was recorded", async || {
        let answer = ana.get(&format!("/sessions/{copy}")).await;
        if answer.status == StatusCode::NOT_FOUND {
            return false;
        }
        info = answer.ok();
        true
    })
    .await;
    assert_eq!((&info["state"], &info["forked_from"]["session"]), (&json!("active"), &json!(victim.session)));
    check_line(victim, copy, info["conversation_id"].as_str().expect("an id")).await;
    let kept = ana.get(&format!("/sessions/{copy}/memories")).await.ok();
    let kept: Vec<_> = kept["items"].as_array().expect("a list").iter().map(|m| &m["text"]).collect();
    assert_eq!(kept, ["of the first"]);
}
