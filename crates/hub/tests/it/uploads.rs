//! Files: posted in time or gone, and what a driver is given of them.

use std::time::Duration;

use roundtable_hub::uploads::{KEPT, TEXT_OF_MESSAGE};
use roundtable_protocol::command::MessagePost;
use roundtable_protocol::model::Attachment;
use roundtable_protocol::{AttachmentId, Code, Command, SessionId, Stream, UserId};

use crate::support::{House, envelope};

const MAIN: Stream = Stream::Main;

async fn upload(house: &House, session: SessionId, user: UserId, stream: Stream, content: &str) -> AttachmentId {
    let mut blob = house.manager.begin_upload().await.expect("begins");
    blob.write(content.as_bytes()).await.expect("written");
    let attachment = Attachment {
        id: AttachmentId(roundtable_hub::clock::new_key()),
        name: "notes.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        size_bytes: content.len() as u64,
        width: None,
        height: None,
    };
    house.manager.keep_upload(session, user, stream, attachment, blob).await.expect("kept").id
}

fn with(attachments: Vec<AttachmentId>, ask: bool) -> Command {
    Command::MessagePost(MessagePost { ask: Some(ask), attachments, ..MessagePost::default() })
}

async fn is_kept(house: &House, session: SessionId, id: AttachmentId) -> bool {
    !house.manager.store().attachments(session, vec![id]).await.expect("reads").is_empty()
}

#[tokio::test(start_paused = true)]
async fn what_was_never_posted_is_gone_after_a_day_and_what_was_posted_stays() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let waits = upload(&house, session, ana, MAIN, "waits").await;
    let posted = upload(&house, session, ana, MAIN, "posted").await;
    house.give(session, ana, with(vec![posted], false)).await.expect("posted");
    tokio::time::sleep(KEPT - Duration::from_secs(60)).await;
    assert!(is_kept(&house, session, waits).await);
    let late = house.give(session, ana, with(vec![waits], false)).await.expect_err("it could be thrown away meanwhile");
    assert_eq!(late.code, Code::AttachmentNotFound);
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert!(!is_kept(&house, session, waits).await);
    assert!(is_kept(&house, session, posted).await);
}

#[tokio::test(start_paused = true)]
async fn a_driver_gets_the_text_of_files_within_limits_and_none_of_side_chat() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let long = upload(&house, session, ana, MAIN, &"ä".repeat(TEXT_OF_MESSAGE)).await;
    let more = upload(&house, session, ana, MAIN, "more").await;
    let aside = upload(&house, session, ana, Stream::Side, "canary").await;
    house.manager.command(session, ana, envelope(Stream::Side, with(vec![aside], false))).await.expect("posted");
    let short = upload(&house, session, ana, MAIN, "short").await;
    house.give(session, ana, with(vec![long, more], false)).await.expect("posted");
    house.give(session, ana, with(vec![short], true)).await.expect("asked");
    let work = house.work.recv().await.expect("a turn");
    let texts: Vec<Vec<Option<String>>> = work
        .transcript
        .iter()
        .map(|message| message.attachments.iter().map(|file| file.text.clone()).collect())
        .collect();
    assert_eq!(texts.len(), 2, "side chat is no part of it");
    assert_eq!(texts[0][0].as_ref().map(String::len), Some(TEXT_OF_MESSAGE), "cut between characters");
    assert_eq!(texts[0][1].as_deref(), Some(""), "nothing is left for it");
    assert_eq!(texts[1], [Some("short".to_owned())]);
    assert!(!format!("{:?}", work.transcript).contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn two_posts_of_one_batch_do_not_share_a_file() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let file = upload(&house, session, ana, MAIN, "once").await;
    let give = || house.give(session, ana, with(vec![file], false));
    let (one, other) = tokio::join!(give(), give());
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}
