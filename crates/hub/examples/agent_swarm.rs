//! Fifty agents that write one shared context at once: nobody's write is lost, and conflicts are counted.
//!
//! `cargo run --release -p roundtable-hub --example agent_swarm`

use std::sync::Arc;
use std::time::Instant;

use roundtable_hub::library::Somebody;
use roundtable_hub::{HubConfig, SessionManager};
use roundtable_protocol::command::ContextPatch;
use roundtable_protocol::context::{OpName, PatchOp};
use roundtable_protocol::{Code, Problem, Role, SessionId, UserId};
use roundtable_store::MemoryStore;
use serde_json::{Value, json};

const AGENTS: u64 = 50;
/// How often each agent writes each place.
const WRITES: u64 = 10;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Problem> {
    let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
    let ana = Somebody::person("Ana");
    let session = manager.create_session(&ana, "Counting together").await?.id;
    let seed = ContextPatch { merge: Some(json!({"tally": {"total": 0}, "votes": 0})), ..ContextPatch::default() };
    manager.update_context(session, ana.user, seed).await?;

    let began = Instant::now();
    let mut agents = tokio::task::JoinSet::new();
    for n in 1..=AGENTS {
        let (manager, agent) = (manager.clone(), Somebody::agent(&format!("agent {n}")));
        manager.let_in(session, &agent, Role::Collaborator).await?;
        agents.spawn(async move {
            let mut conflicts = 0;
            for nth in 0..WRITES {
                conflicts += add_by_reading(&manager, session, agent.user, n, nth).await?;
                vote(&manager, session, agent.user).await?;
            }
            Ok::<u64, Problem>(conflicts)
        });
    }
    let mut conflicts = 0;
    while let Some(agent) = agents.join_next().await {
        conflicts += agent.expect("no agent panics")?;
    }

    let read = manager.context(session, ana.user, "", None).await?;
    let expected = (WRITES * AGENTS * (AGENTS + 1) / 2, AGENTS * WRITES);
    let writes = 2 * AGENTS * WRITES;
    println!("{AGENTS} agents wrote {writes} times in {:?}; {conflicts} conflicts, each tried again", began.elapsed());
    println!("the context says {}", read.value);
    let counted = (&read.value["tally"]["total"], &read.value["votes"]);
    assert_eq!(counted, (&json!(expected.0), &json!(expected.1)), "no write was lost");
    manager.shutdown().await;
    Ok(())
}

/// Adds to what was read; whoever comes too late reads again. Returns how often that was so.
///
/// Two writes that say the same do not conflict, so each says whose it is: two sums that happen to be equal are two.
async fn add_by_reading(
    manager: &SessionManager,
    session: SessionId,
    me: UserId,
    n: u64,
    nth: u64,
) -> Result<u64, Problem> {
    let mut conflicts = 0;
    loop {
        let read = manager.context(session, me, "/tally", None).await?;
        let sum = read.value["total"].as_u64().unwrap_or(0) + n;
        let tally = json!({"total": sum, "agent": n, "nth": nth});
        let set = PatchOp::new(OpName::Replace, "/tally", Some(tally));
        let patch = ContextPatch { base: Some(read.version), ops: vec![set], ..ContextPatch::default() };
        match manager.update_context(session, me, patch).await {
            Ok(_) => return Ok(conflicts),
            Err(problem) if problem.code == Code::ContextConflict => conflicts += 1,
            Err(problem) => return Err(problem),
        }
    }
}

/// Counts one up, whoever else does so at the same time: two `inc` never conflict.
async fn vote(manager: &SessionManager, session: SessionId, me: UserId) -> Result<(), Problem> {
    let base = Some(manager.context(session, me, "/votes", None).await?.version);
    let one = PatchOp::new(OpName::Inc, "/votes", Some(Value::from(1)));
    manager.update_context(session, me, ContextPatch { base, ops: vec![one], ..ContextPatch::default() }).await?;
    Ok(())
}
