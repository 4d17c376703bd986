use super::*;

fn event(body: EventBody) -> Event {
    Event {
        stream: Stream::Main,
        seq: Seq(7),
        header: EventHeader {
            id: EventId::derive(uuid::Uuid::from_u128(1), 0),
            actor: Actor::System,
            on_behalf_of: None,
            at: "2026-11-20T10:00:00.25Z".parse().expect("a timestamp"),
            branch: None,
            seen: Some(Seq(3)),
            causes: vec![EventId::NIL],
        },
        body,
    }
}

fn posted(text: &str) -> EventBody {
    MessagePosted { text: text.into(), ask: true, ..MessagePosted::empty() }.into()
}

#[test]
fn stored_and_wire_forms_say_the_same() {
    let before = event(posted("a \"quote\" and ünïcode"));
    let (header, body) = (before.header_json(), before.body.to_json());
    assert_eq!(Event::from_stored(Stream::Main, Seq(7), &header, &body).expect("stored"), before);
    let mut wire = Vec::new();
    wire_event(&mut wire, Stream::Main, Seq(7), &header, &body);
    assert_eq!(serde_json::from_slice::<Event>(&wire).expect("wire"), before);
    let derived: serde_json::Value = serde_json::from_slice(&serde_json::to_vec(&before).expect("json")).expect("json");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&wire).expect("json"), derived);
}

#[test]
fn an_unknown_kind_is_told_from_malformed_data() {
    assert!(matches!(EventBody::parse("moon.landed", "{}"), Err(BodyError::UnknownKind(k)) if k == "moon.landed"));
    assert!(matches!(EventBody::parse("message.posted", "{}"), Err(BodyError::Malformed(_))));
}

#[test]
fn a_redacted_body_keeps_its_shape_and_loses_its_text() {
    let body = redacted_body(&posted("canary").to_json());
    assert!(!String::from_utf8_lossy(&body).contains("canary"));
    let text = std::str::from_utf8(&body).expect("utf-8");
    let EventBody::MessagePosted(data) = EventBody::parse("message.posted", text).expect("still reads") else {
        panic!("another kind");
    };
    assert!(data.redacted && data.ask && data.text.is_empty());
}

#[test]
fn the_names_of_files_are_erased_with_the_text() {
    let attachment = crate::model::Attachment {
        id: crate::ids::AttachmentId::NIL,
        name: "canary.png".to_owned(),
        media_type: "image/png".to_owned(),
        size_bytes: 7,
        width: Some(1),
        height: None,
    };
    let EventBody::MessagePosted(mut data) = posted("text") else { panic!("another kind") };
    data.attachments.push(attachment);
    let body = redacted_body(&EventBody::from(data).to_json());
    let EventBody::MessagePosted(data) =
        EventBody::parse("message.posted", std::str::from_utf8(&body).expect("utf-8")).expect("still reads")
    else {
        panic!("another kind");
    };
    assert!(data.redacted && data.attachments.is_empty() && !String::from_utf8_lossy(&body).contains("canary"));
}

#[test]
fn every_kind_is_a_noun_and_a_past_verb_once() {
    let mut kinds = EventBody::KINDS.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), EventBody::KINDS.len());
    assert!(kinds.iter().all(|k| *k == "error" || k.split('.').count() == 2), "an error is nobody's deed");
}

#[test]
fn an_event_reads_inside_a_tagged_frame() {
    let frame = crate::frame::ServerFrame::Events(crate::frame::Events {
        session_id: crate::ids::SessionId::NIL,
        stream: Stream::Main,
        items: vec![event(posted("hi"))],
    });
    let text = serde_json::to_string(&frame).expect("json");
    let crate::frame::ServerFrame::Events(back) = serde_json::from_str(&text).expect("a frame") else {
        panic!("another frame");
    };
    assert_eq!(back.items, [event(posted("hi"))]);
}
