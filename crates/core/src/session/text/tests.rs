use super::*;
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::Timestamp;
use roundtable_protocol::model::{Membership, ParticipantKind};
use uuid::Uuid;

fn name(text: &str) -> Result<String, &'static str> {
    filled_line("/display_name", text, MAX_NAME).map_err(|no| no.code.name())
}

#[test]
fn names_are_trimmed_normalised_and_free_of_what_cannot_be_seen() {
    assert_eq!(name("  Ana   Maria "), Ok("Ana Maria".to_owned()));
    assert_eq!(name("Ame\u{301}lie"), Ok("Amélie".to_owned()));
    assert_eq!(name("Ana\u{a0}Maria"), Ok("Ana Maria".to_owned()));
    assert_eq!(name("李明 ❤\u{fe0f}"), Ok("李明 ❤\u{fe0f}".to_owned()));
    assert_eq!(name(&"é".repeat(40)), Ok("é".repeat(40)));
    for bad in ["", " ", "\u{fe0f}", "a\nb", "a\tb", "a\0b", "a\u{200b}b", "\u{202e}evil", "a\u{200d}b", "a\u{2066}b"] {
        assert_eq!(name(bad), Err("invalid_field"), "{bad:?}");
    }
    for invisible in ["\u{3164}", "\u{115f}", "\u{feff}", "\u{ad}", "\u{61c}", "\u{e0041}"] {
        assert_eq!(name(invisible), Err("invalid_field"), "{invisible:?}");
    }
    assert_eq!(name(&"x".repeat(41)), Err("invalid_field"));
    assert_eq!(name(&"x".repeat(1_000_000)), Err("invalid_field"));
}

#[test]
fn a_taken_name_is_numbered_and_stays_short() {
    let unique = |name: &str, taken: &[&str]| unique_name(name, taken.iter().copied());
    assert_eq!(unique("Ana", &["Ben"]), "Ana");
    assert_eq!(unique("Ana", &["aNA"]), "Ana (2)");
    assert_eq!(unique("Ana", &["ana", "ANA (2)", "Ana (4)"]), "Ana (3)");
    assert_eq!(unique("Ana (2)", &["Ana", "Ana (2)"]), "Ana (2) (2)");
    let long = "x".repeat(40);
    let numbered = unique(&long, &[&long]);
    assert_eq!((numbered.chars().count(), numbered.ends_with("x (2)")), (40, true));
}

#[test]
fn colours_are_twelve_and_lasting() {
    let all: BTreeSet<u8> = (0..200).map(|i| colour(UserId(Uuid::from_u128(i)))).collect();
    assert_eq!(all, (0..12).collect());
    assert_eq!(colour(UserId(Uuid::from_u128(1))), colour(UserId(Uuid::from_u128(1))));
}

#[test]
fn tags_are_clean_and_few() {
    let tags = |all: &[&str]| super::tags(&all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
    assert_eq!(tags(&[" a ", "b", "a"]).expect("fine"), ["a", "b"]);
    assert!(tags(&[""]).is_err() && tags(&["x"; 11]).is_err() && tags(&[&"x".repeat(41)]).is_err());
}

#[test]
fn reasons_that_say_nothing_are_none() {
    assert_eq!(reason(None), Ok(None));
    assert_eq!(reason(Some(&" ".to_owned())), Ok(None));
    assert_eq!(reason(Some(&" spam\nagain ".to_owned())), Ok(Some("spam\nagain".to_owned())));
    assert!(reason(Some(&"x".repeat(501))).is_err());
}

fn named(text: &str) -> String {
    let people: Vec<Participant> = ["Ana", "Ana Maria", "Éva", "李明", "c++"]
        .iter()
        .zip(0u8..)
        .map(|(name, n)| Participant {
            id: ParticipantId(Uuid::from_u128(u128::from(n))),
            user_id: UserId(Uuid::from_u128(u128::from(n))),
            kind: ParticipantKind::User,
            role: Role::Viewer,
            display_name: (*name).to_owned(),
            colour: 0,
            guest: false,
            membership: Membership::Joined,
            joined_at: Timestamp::UNIX_EPOCH,
        })
        .collect();
    let names = |id: &ParticipantId| people.iter().find(|p| p.id == *id).map(|p| p.display_name.clone());
    named_in(text, people.iter()).iter().filter_map(names).collect::<Vec<_>>().join(", ")
}

#[test]
fn at_names_whom_it_names() {
    assert_eq!(named("@ana"), "Ana");
    assert_eq!(named("hi @ANA, hi @Ana maria! and @ana again"), "Ana, Ana Maria");
    assert_eq!(named("(@ana) @ana: @ana's"), "Ana");
    assert_eq!(named("@anamaria @ana_ x@ana @@ana"), "Ana", "only the last one stands alone");
    assert_eq!(named("@E\u{301}VA"), "Éva");
    assert_eq!(named("@李明 你好 and @c++"), "李明, c++");
    assert_eq!(named("ana maria, c++, nobody"), "");
    assert_eq!(named("@ @"), "");
}

#[test]
fn a_text_of_nothing_but_at_signs_costs_little() {
    assert_eq!(named(&"@".repeat(64 * 1024)), "");
    let late = format!("{}@ana", "@ ".repeat(MAX_AT_SIGNS));
    assert_eq!(named(&late), "", "only so many are looked at");
}

#[test]
fn a_title_is_the_first_line_that_says_something() {
    let cases = [
        ("What is a monoid?", Some("What is a monoid?")),
        ("\n\n  ## Plans   for\tspring  \nand more", Some("Plans for spring")),
        ("> - *quoted*", Some("quoted*")),
        ("```rust\nfn main() {}\n```", Some("fn main() {}")),
        ("---\n***\n", None),
        ("\u{202e}evil\u{200b} title", Some("evil title")),
        ("!?", None),
        ("", None),
    ];
    for (text, title) in cases {
        assert_eq!(title_of(text).as_deref(), title, "{text:?}");
    }
    let long = "word ".repeat(20_000);
    let title = title_of(&long).expect("a title");
    assert!(title.chars().count() <= 60 && title.ends_with("word…"), "{title}");
    let unbroken = title_of(&"ü".repeat(500)).expect("a title");
    assert_eq!(unbroken.chars().count(), 60);
}
