//! What people may write into fields, and whom `@name` in a text names.
//!
//! Names stand beside what people say, also before the assistant, so nothing invisible gets into them: no control
//! characters, nothing that turns the direction of text, nothing of zero width (reference: UAX #9 for the directional
//! formatting characters, UTR #36 for the reasons).

use std::collections::BTreeSet;

use roundtable_protocol::event::Actor;
use roundtable_protocol::frame::MAX_MESSAGE_BYTES;
use roundtable_protocol::ids::{ParticipantId, UserId};
use roundtable_protocol::model::Participant;
use roundtable_protocol::problem::Code;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::context::Rejection;

/// Longest display name. Unit: characters.
pub(super) const MAX_NAME: usize = 40;
/// Longest title. Unit: characters.
pub(super) const MAX_TITLE: usize = 200;
/// Longest description. Unit: characters.
pub(super) const MAX_DESCRIPTION: usize = 2_000;
/// Most tags.
pub(super) const MAX_TAGS: usize = 10;
/// Longest tag or category. Unit: characters.
pub(super) const MAX_TAG: usize = 40;
/// Longest reason. Unit: characters.
pub(super) const MAX_REASON: usize = 500;
/// Longest title that a message gives. Unit: characters.
const MADE_TITLE: usize = 60;
/// How many files may come with one message.
pub(super) const MAX_ATTACHMENTS: usize = 10;
/// How many participants one message may name.
pub(super) const MAX_MENTIONS: usize = 50;
/// How many `@` of a text are looked at; bounds the work that a hostile text can cause.
const MAX_AT_SIGNS: usize = 200;
/// How many hues there are.
const COLOURS: u64 = 12;

/// Checks a message's text; beside files it may say nothing.
pub(super) fn message(pointer: &'static str, text: &str, may_be_empty: bool) -> Result<(), Rejection> {
    if text.len() > MAX_MESSAGE_BYTES {
        let detail = format!("the text has {} bytes, at most {MAX_MESSAGE_BYTES} fit", text.len());
        return Err(Rejection::field(pointer, Code::MessageTooLong, detail));
    }
    if !may_be_empty && text.trim().is_empty() {
        return Err(Rejection::field(pointer, Code::TextEmpty, "write something"));
    }
    Ok(())
}

/// Returns one line of text: normalised (NFC), trimmed, inner blanks single, within `max` characters.
pub(super) fn line(pointer: &'static str, text: &str, max: usize) -> Result<String, Rejection> {
    let bad = |detail: String| Err(Rejection::field(pointer, Code::InvalidField, detail));
    // Normalising can only shrink a text to a third; longer input is refused before any work is done on it.
    if text.len() > max * 4 * 3 {
        return bad(format!("at most {max} characters"));
    }
    if let Some(c) = text.trim().chars().find(|c| is_hidden(*c)) {
        return bad(format!("U+{:04X} is a control, direction or invisible character; leave it out", u32::from(c)));
    }
    let clean = text.nfc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    match clean.chars().count() {
        n if n > max => bad(format!("at most {max} characters, not {n}")),
        _ => Ok(clean),
    }
}

/// Returns one line of text that says something.
pub(super) fn filled_line(pointer: &'static str, text: &str, max: usize) -> Result<String, Rejection> {
    let clean = line(pointer, text, max)?;
    // U+FE0F makes a heart red and is nothing by itself.
    if clean.chars().all(|c| c == '\u{FE0F}') {
        return Err(Rejection::field(pointer, Code::InvalidField, format!("1 to {max} characters")));
    }
    Ok(clean)
}

/// Returns a text of several lines, normalised and within `max` characters.
pub(super) fn lines(pointer: &'static str, text: &str, max: usize) -> Result<String, Rejection> {
    if text.len() > max * 4 * 3 || text.nfc().count() > max {
        return Err(Rejection::field(pointer, Code::InvalidField, format!("at most {max} characters")));
    }
    Ok(text.nfc().collect::<String>().trim().to_owned())
}

/// Returns a reason as it is recorded; none when it says nothing.
pub(super) fn reason(text: Option<&String>) -> Result<Option<String>, Rejection> {
    let clean = text.map(|t| lines("/reason", t, MAX_REASON)).transpose()?;
    Ok(clean.filter(|t| !t.is_empty()))
}

/// Returns tags without blanks and doubles.
pub(super) fn tags(tags: &[String]) -> Result<Vec<String>, Rejection> {
    if tags.len() > MAX_TAGS {
        return Err(Rejection::field("/tags", Code::InvalidField, format!("at most {MAX_TAGS} tags")));
    }
    let mut clean: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = filled_line("/tags", tag, MAX_TAG)?;
        if !clean.contains(&tag) {
            clean.push(tag);
        }
    }
    Ok(clean)
}

/// Returns the category; empty takes it away.
pub(super) fn category(text: &str) -> Result<Option<String>, Rejection> {
    let clean = line("/category", text, MAX_TAG)?;
    Ok((!clean.is_empty()).then_some(clean))
}

/// Returns `name` as it can stand beside `taken` ones: followed by " (2)", " (3)" ... when somebody has it already.
pub(super) fn unique_name<'a>(name: &str, taken: impl Iterator<Item = &'a str>) -> String {
    let taken: BTreeSet<String> = taken.map(fold).collect();
    if !taken.contains(&fold(name)) {
        return name.to_owned();
    }
    let numbered = |n: usize| {
        let tail = format!(" ({n})");
        let head: String = name.chars().take(MAX_NAME - tail.len()).collect();
        format!("{}{tail}", head.trim_end())
    };
    // Among the first `taken + 1` numbers one is free.
    (2..=taken.len() + 2).map(numbered).find(|n| !taken.contains(&fold(n))).unwrap_or_else(|| numbered(taken.len() + 2))
}

/// Returns the hue of `user`, the same in every session.
pub(super) fn colour(user: UserId) -> u8 {
    let digest = Sha256::digest(user.0.as_bytes());
    let n = digest.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    u8::try_from(n % COLOURS).expect("a remainder below twelve fits")
}

/// Checks a hue that somebody has chosen.
pub(super) fn chosen_colour(colour: u8) -> Result<u8, Rejection> {
    if u64::from(colour) < COLOURS {
        return Ok(colour);
    }
    Err(Rejection::field("/colour", Code::InvalidField, format!("a hue is 0 to {}", COLOURS - 1)))
}

/// Returns the title that a message gives to a session without one: its first line that says something, without the
/// marks of headings, quotes and lists, at most [`MADE_TITLE`] characters, cut between words where there is a blank.
pub(super) fn title_of(text: &str) -> Option<String> {
    let mark = |c: char| c.is_whitespace() || matches!(c, '#' | '>' | '*' | '-' | '+' | '`' | '~' | '|' | '=' | '_');
    // What follows the opening marks of a block of code is its language, which is no title.
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("```") && !line.starts_with("~~~"));
    let line = lines.map(|line| line.trim_start_matches(mark)).find(|line| line.chars().any(char::is_alphanumeric))?;
    // Lines are up to 64 KiB long; four times what is kept is more than normalising can need.
    let head: String = line.chars().filter(|c| !is_hidden(*c) || c.is_whitespace()).take(MADE_TITLE * 4).collect();
    let clean = head.nfc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.chars().count() <= MADE_TITLE {
        return Some(clean).filter(|title| !title.is_empty());
    }
    let cut: String = clean.chars().take(MADE_TITLE - 1).collect();
    let whole = cut.rfind(' ').filter(|end| *end > cut.len() / 2).map_or(cut.as_str(), |end| &cut[..end]);
    Some(format!("{}…", whole.trim_end()))
}

/// Returns whom `@name` in `text` names, in the order of first naming: the longest name that fits, at word boundaries,
/// whatever the case. Names may hold blanks.
pub(super) fn named_in<'a>(text: &str, people: impl Iterator<Item = &'a Participant>) -> Vec<ParticipantId> {
    let mut named = Vec::new();
    if !text.contains('@') {
        return named;
    }
    let mut names: Vec<(String, ParticipantId)> = people.map(|p| (fold(&p.display_name), p.id)).collect();
    names.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.1.cmp(&b.1)));
    let text: String = fold(&text.nfc().collect::<String>());
    for (at, _) in text.match_indices('@').take(MAX_AT_SIGNS) {
        if text[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let rest = &text[at + 1..];
        let fits = |name: &str| rest.strip_prefix(name).is_some_and(|tail| !tail.chars().next().is_some_and(is_word));
        if let Some((_, id)) = names.iter().find(|(name, _)| fits(name))
            && !named.contains(id)
        {
            named.push(*id);
        }
    }
    named
}

/// Returns whether `actor` is that participant.
pub(super) fn is(actor: Actor, id: ParticipantId) -> bool {
    actor == Actor::Participant(id)
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns whether a character has no place in a line that others read as somebody's own.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0E}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests;
