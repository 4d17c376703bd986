//! Two people in one session, in one program without a server.
//!
//! `cargo run -p roundtable-hub --example two_friends`

use std::sync::Arc;

use roundtable_hub::library::{Somebody, Update, Watcher};
use roundtable_hub::{HubConfig, SessionManager};
use roundtable_protocol::{EventBody, Problem, Role, Stream};
use roundtable_store::MemoryStore;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Problem> {
    let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
    let (ana, ben) = (Somebody::person("Ana"), Somebody::person("Ben"));
    let session = manager.create_session(&ana, "Where do we eat?").await?.id;
    manager.let_in(session, &ben, Role::Collaborator).await?;

    let watcher = manager.watch(session, ben.user, &[Stream::Main]).await?;
    let reading = tokio::spawn(read_until_the_end(watcher));

    manager.send_message(session, ana.user, Stream::Main, "Noodles or pizza?").await?;
    manager.send_message(session, ben.user, Stream::Main, "Noodles.").await?;
    manager.end_session(session, ana.user).await?;
    reading.await.expect("the reader does not panic");

    let history = manager.history(session, ben.user, Stream::Main, roundtable_protocol::Seq::ZERO, 100).await?;
    println!("{} events are recorded", history.len());
    manager.shutdown().await;
    Ok(())
}

/// Prints what happens as Ben sees it, until the session ends.
async fn read_until_the_end(mut ben: Watcher) {
    while let Some(update) = ben.next().await {
        let Update::Events(events) = update else { continue };
        for event in events {
            println!("{:>2} {}", event.seq, event.body.kind());
            match event.body {
                EventBody::MessagePosted(said) => println!("   {}", said.text),
                EventBody::SessionEnded(_) => return,
                _ => {}
            }
        }
    }
}
