//! Names of files.

use unicode_normalization::UnicodeNormalization;

/// Longest name. Unit: characters.
const LONGEST: usize = 200;
/// How much of an ending stays when a name is cut. Unit: characters.
const ENDING: usize = 20;
/// What a file without a usable name is called.
const NAMELESS: &str = "file";

/// Returns a name as it is kept: normalised (NFC), without folders, without characters that control, turn the direction
/// of text or show nothing; at most 200 characters, the ending kept.
pub fn cleaned(name: &str) -> String {
    // Longer ones are cut before any work is done on them; the last part is what counts.
    let tail = name.char_indices().rev().nth(4 * LONGEST).map_or(name, |(at, _)| &name[at..]);
    let last = tail.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.nfc().filter(|c| !is_hidden(*c)).collect();
    let clean = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = clean.trim_matches(|c: char| c == '.' || c == ' ');
    if clean.is_empty() {
        return NAMELESS.to_owned();
    }
    let length = clean.chars().count();
    if length <= LONGEST {
        return clean.to_owned();
    }
    let ending = clean.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.chars().count() <= ENDING);
    let ending = ending.map_or_else(String::new, |ending| format!(".{ending}"));
    let stem: String = clean.chars().take(LONGEST - ending.chars().count()).collect();
    format!("{}{ending}", stem.trim_end())
}

/// Blanks are dealt with by the caller. Sources: UAX #9 for what turns the direction, UTR #36 for the reasons.
fn is_hidden(c: char) -> bool {
    c.is_control() && !c.is_whitespace()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_folders_and_hides_nothing() {
        for (given, kept) in [
            ("photo.png", "photo.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\Ana\\letter.doc", "letter.doc"),
            ("gpj.\u{202e}exe", "gpj.exe"),
            ("two\nlines\tand\u{0}more.txt", "two lines andmore.txt"),
            ("u\u{308}ber.txt", "über.txt"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            (".hidden", "hidden"),
            ("❤\u{fe0f}.png", "❤\u{fe0f}.png"),
        ] {
            assert_eq!(cleaned(given), kept, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_its_ending() {
        let long = cleaned(&format!("{}.tar", "ä".repeat(5_000)));
        assert_eq!(long.chars().count(), 200);
        assert!(long.ends_with("ä.tar"));
        assert_eq!(cleaned(&"x".repeat(300)).len(), 200);
        assert_eq!(cleaned(&format!("a.{}", "b".repeat(300))).len(), 200);
    }
}
