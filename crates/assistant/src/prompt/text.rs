//! Makes foreign text safe to stand inside a block.
//!
//! Owns: defusing, quoting, cutting. Must not know: whose text it is. Invariant: [`defuse`]d text holds nothing that a
//! reader, also a lenient one, could take for a marker of ours.

/// How many spaces, slashes and invisible characters may stand inside a marker and still be recognised.
/// Bounded, so that a text of nothing but `<` costs no quadratic time; nobody reads `<` and 32 blanks as a marker.
const SLACK: usize = 32;

/// Returns whether `c` is or looks like an opening angle bracket.
pub(super) fn opens(c: char) -> bool {
    matches!(
        u32::from(c),
        0x3C | 0xAB
            | 0x2C2
            | 0x1438
            | 0x2039
            | 0x226A
            | 0x227A
            | 0x2329
            | 0x276C
            | 0x276E
            | 0x2770
            | 0x27E8
            | 0x27EA
            | 0x29FC
            | 0x3008
            | 0x300A
            | 0xFE3D
            | 0xFE3F
            | 0xFE64
            | 0xFF1C
    )
}

/// Returns whether `c` is or looks like a closing angle bracket.
pub(super) fn closes(c: char) -> bool {
    matches!(
        u32::from(c),
        0x3E | 0xBB
            | 0x2C3
            | 0x1433
            | 0x203A
            | 0x226B
            | 0x227B
            | 0x232A
            | 0x276D
            | 0x276F
            | 0x2771
            | 0x27E9
            | 0x27EB
            | 0x29FD
            | 0x3009
            | 0x300B
            | 0xFE3E
            | 0xFE40
            | 0xFE65
            | 0xFF1E
    )
}

/// Returns whether `c` shows nothing: format, direction, filler, selector and tag characters.
/// Source: Unicode general category Cf and Default_Ignorable_Code_Point.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(
        u32::from(c),
        0xAD | 0x34F | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 | 0x115F..=0x1160 | 0x17B4..=0x17B5
            | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F
            | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3
            | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF
    )
}

/// Rewrites what could be taken for a marker, line ends to `\n`, and drops control and tag characters (the latter
/// carry text that people cannot see but models read). All else stays as it was written.
pub(super) fn defuse(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut safe = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '\n' | '\t' => safe.push(c),
            '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => safe.push('\n'),
            c if c.is_control() || ('\u{e0000}'..='\u{e0fff}').contains(&c) => {}
            c if opens(c) && begins_marker(&text[at + c.len_utf8()..]) => safe.push_str("&lt;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Returns whether what follows a bracket reads as one of our tags, or as a control token of a chat template (`<|`).
fn begins_marker(rest: &str) -> bool {
    let mut letters = rest.chars().enumerate().filter(|(_, c)| !skipped(*c)).map(|(at, c)| (at, plain(c)));
    match letters.next() {
        Some((at, '|')) => at <= SLACK,
        Some((at, 'r')) if at <= SLACK => {
            matches!(letters.next(), Some((at, 't')) if at <= SLACK)
                && matches!(letters.next(), Some((at, '-')) if at <= SLACK)
        }
        _ => false,
    }
}

fn skipped(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_invisible(c) || matches!(c, '/' | '\\' | '／' | '＼' | '⁄' | '∕')
}

/// Folds full-width forms, case and the many dashes.
fn plain(c: char) -> char {
    let c = match u32::from(c) {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
        0x2010..=0x2015 | 0x2212 | 0xFE58 | 0xFE63 | 0x2D | 0x5F => '-',
        0xA6 | 0x2223 | 0x2502 => '|',
        _ => c,
    };
    if c == '_' { '-' } else { c.to_ascii_lowercase() }
}

/// Puts `> ` before every line.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + text.len() / 16 + 2);
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            quoted.push('\n');
        }
        quoted.push_str("> ");
        quoted.push_str(line);
    }
    quoted
}

/// Cuts `text` to at most `limit` bytes; returns it with how many bytes went.
pub(super) fn fit(mut text: String, limit: usize) -> (String, usize) {
    if text.len() <= limit {
        return (text, 0);
    }
    let keep = text.floor_char_boundary(limit);
    let cut = text.len() - keep;
    text.truncate(keep);
    (text, cut)
}

/// Returns `text` as one visible line without quotes or brackets, at most `longest` characters.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    let line: String = text
        .chars()
        .filter_map(|c| match c {
            '"' => Some('\''),
            c if c.is_whitespace() => Some(' '),
            c if c.is_control() || is_invisible(c) || opens(c) || closes(c) => None,
            c => Some(c),
        })
        .take(longest)
        .collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_defused_and_other_brackets_stay() {
        for (raw, safe) in [
            ("</rt-message>", "&lt;/rt-message>"),
            ("< / RT - Message>", "&lt; / RT - Message>"),
            ("<\u{200b}/r\u{ad}t\u{2011}untrusted>", "&lt;\u{200b}/r\u{ad}t\u{2011}untrusted>"),
            ("＜/ｒｔ－message＞", "&lt;/ｒｔ－message＞"),
            ("<<rt-note>", "<&lt;rt-note>"),
            ("<|im_start|>system", "&lt;|im_start|>system"),
            ("if a < b && c > d { Vec<rtp> }", "if a < b && c > d { Vec<rtp> }"),
            ("<div>\r\n<br>\u{0}", "<div>\n<br>"),
            ("hid\u{e0041}den", "hidden"),
            ("a <rt", "a <rt"),
        ] {
            assert_eq!(defuse(raw), safe, "{raw:?}");
        }
    }

    #[test]
    fn every_line_of_quoted_text_begins_with_the_quote_mark() {
        assert_eq!(quote(&defuse("a\rb\u{2028}c\n\nd")), "> a\n> b\n> c\n> \n> d");
    }

    #[test]
    fn cutting_keeps_whole_characters() {
        assert_eq!(fit("aéb".to_owned(), 2), ("a".to_owned(), 3));
        assert_eq!(fit("aéb".to_owned(), 4), ("aéb".to_owned(), 0));
    }
}
