//! Text that must not be shown.
//!
//! Owns: [`Secret`] and the redaction of foreign text. Must not know: what the secrets open.
//! Invariant: no `Display`, and a `Debug` without content.

use std::fmt;

/// A key or password. Whoever needs the content says so with [`Secret::expose`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`; surrounding white space, which a file or a paste brings along, is dropped.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the content, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(empty)" } else { "Secret(redacted)" })
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Takes known secrets out of text that others wrote, before it is logged.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Vec<String>);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Shorter ones are left: replacing every "a" would make the text useless and hide nothing.
    const SHORTEST: usize = 4;

    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|s| s.len() >= Self::SHORTEST).collect();
        // Longest first, or a part of a longer secret would be replaced and the rest stay.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// Returns one line of at most 300 characters without the secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret, "[redacted]");
        }
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_content() {
        let shown = format!("{:?} {:?}", Secret::new(" sk-canary\n"), Secret::default());
        assert_eq!(shown, "Secret(redacted) Secret(empty)");
        assert_eq!(Secret::new(" sk-canary\n").expose(), "sk-canary");
    }

    #[test]
    fn the_redactor_takes_out_every_occurrence_and_all_control_characters() {
        let redactor = Redactor::new(["sk-canary".to_owned(), "sk-canary-long".to_owned(), "x".to_owned()]);
        assert_eq!(
            redactor.clean("bad key sk-canary-long\r\nand sk-canary, x"),
            "bad key [redacted]  and [redacted], x"
        );
    }
}
