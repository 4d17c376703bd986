//! The server dies, and nothing that was acknowledged is lost. `make soak` does the same for much longer.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use roundtable_client::trial::rounds::{self, Plan};
use roundtable_client::trial::server::Launch;
use serde_json::{Value, json};

use crate::support::{Answer, Person};

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

/// What pausing, going back, merging and checkpoints each write belongs together: a head and its context, a pause and its
/// checkpoint. The server dies while they go round and round; whoever reads then finds each of them whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn pauses_ways_back_merges_and_checkpoints_are_whole_or_not_at_all_when_the_server_is_killed() {
    const ROUNDS: usize = 12;
    let folder = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(env!("CARGO_BIN_EXE_roundtable"), folder.path().join("data"));
    let launch = rounds::unlimited(launch);
    let mut server = launch.start(0).await.expect("started");
    let base = |server: &roundtable_client::trial::server::Server| format!("http://{}", server.address());
    let mut ana = Person::stranger(&base(&server)).named("Ana").await;
    let session = ana.session().await;
    let at = |path: &str| format!("/sessions/{session}{path}");
    let write = async |ana: &Person, branch: &str, value: &str| {
        let call =
            ana.call(Method::PATCH, &at(&format!("/context?branch={branch}"))).body(json!({ "at": value }).to_string());
        Answer::of(call.header("content-type", "application/merge-patch+json")).await.ok()
    };
    let first = ana.say(&session, "first").await["id"].clone();
    let main = ana.get(&at("")).await.ok()["conversation_id"].as_str().expect("an id").to_owned();
    write(&ana, &main, "first").await;
    let point = ana.post(&at("/checkpoints"), json!({"name": "first"})).await.created()["id"].clone();
    let branch = ana.post(&at("/branches"), json!({"name": "second"})).await.created()["id"].clone();
    let branch = branch.as_str().expect("an id").to_owned();
    let body = json!({"text": "second", "branch": branch});
    let second = ana.post(&at("/messages"), body).await.created()["id"].clone();
    write(&ana, &branch, "second").await;

    let moves = [
        (at(&format!("/branches/{main}/merge")), json!({"from": branch, "how": "adopt"})),
        (at("/pause"), json!({})),
        (at("/resume"), json!({})),
        (at(&format!("/checkpoints/{}/restore", point.as_str().expect("an id"))), json!({"how": "in_place"})),
        (at("/checkpoints"), json!({"name": "on the way"})),
    ];
    let mut between = 0;
    for round in 0..ROUNDS {
        let (done, mut count) = tokio::sync::watch::channel(0_usize);
        let (ana_too, moves) = (ana.clone(), moves.clone());
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
        server.kill().await.expect("killed");
        drop(count);
        going.await.expect("no panic");

        server = launch.start(0).await.expect("started again");
        ana.base = base(&server);
        let head = ana.get(&at(&format!("/branches/{main}"))).await.ok()["head"].clone();
        let context = ana.get(&at("/context?path=/at")).await.ok()["value"].clone();
        assert!(head == first && context == "first" || head == second && context == "second", "{head} with {context}");
        between += usize::from(head == second);
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(json!(0), |e: &Value| e["seq"].clone());
            let page = ana.get(&at(&format!("/events?stream=main&after={after}&limit=1000"))).await.ok();
            let page = page["events"].as_array().expect("events").clone();
            if page.is_empty() {
                break;
            }
            events.extend(page);
        }
        let count = |kind: &str, is: &dyn Fn(&Value) -> bool| {
            events.iter().filter(|e| e["kind"] == kind && is(&e["data"])).count()
        };
        let any = |_: &Value| true;
        let pauses = count("session.paused", &any);
        assert_eq!(pauses, count("checkpoint.created", &|data| data["checkpoint"]["why"] == "pause"));
        let state = if pauses == count("session.resumed", &any) { "active" } else { "paused" };
        assert_eq!(ana.get(&at("")).await.ok()["state"], state);
        let (back, merged) = (count("checkpoint.restored", &any), count("branch.merged", &any));
        assert_eq!(back, count("branch.moved", &any), "a way back moves the head");
        assert_eq!(back, count("context.patched", &|data| data["reverts"].is_array()), "and takes the context back");
        assert_eq!(2 + back + merged, count("context.patched", &any), "a merge brings the context along");
        let named = ana.get(&at("/checkpoints?limit=200")).await.ok()["items"].as_array().expect("a list").len();
        assert_eq!(named, count("checkpoint.created", &any), "each is in the list");
    }
    assert!((1..ROUNDS).contains(&between), "the server died on both sides: {between} of {ROUNDS}");
    server.stop().await.expect("stopped");
    launch.verify(session.parse().expect("an id")).await.expect("the chain is whole");
}
