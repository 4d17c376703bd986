//! Which files are text, and of which kind.

/// Follows whether everything so far is UTF-8 without zeros and other control characters that no text has.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    broken: bool,
    /// The beginning of a character whose rest is in the next part.
    open: Vec<u8>,
}

impl Utf8 {
    pub(super) fn take(&mut self, part: &[u8]) {
        if self.broken {
            return;
        }
        let joined;
        let mut rest = part;
        if !self.open.is_empty() {
            joined = [&self.open[..], part].concat();
            rest = &joined;
        }
        let open = match std::str::from_utf8(rest) {
            Ok(_) => Vec::new(),
            Err(error) if error.error_len().is_none() => rest[error.valid_up_to()..].to_vec(),
            Err(_) => {
                self.broken = true;
                return;
            }
        };
        self.broken = rest.iter().any(|byte| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b));
        self.open = open;
    }

    pub(super) fn is_text(&self) -> bool {
        !self.broken && self.open.is_empty()
    }
}

/// Tells kinds of text apart. What a browser would run is found by its content; the name chooses among the harmless.
pub(super) fn kind(head: &[u8], name: &str) -> &'static str {
    let text = String::from_utf8_lossy(&head[..head.len().min(4096)]).to_lowercase();
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if let Some(tag) = start.strip_prefix('<') {
        if text.contains("<svg") {
            return "image/svg+xml";
        }
        if start.starts_with("<?xml") {
            return "application/xml";
        }
        // Whatever begins like a tag could be taken for a page.
        if tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '!' | '/' | '?')) {
            return "text/html";
        }
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "md" | "markdown" => "text/markdown",
        "csv" => "text/csv",
        "json" if start.starts_with(['{', '[', '"']) => "application/json",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_may_be_cut_anywhere() {
        let content = "aß€😀\n".repeat(50);
        for size in 1..9 {
            let mut utf8 = Utf8::default();
            content.as_bytes().chunks(size).for_each(|part| utf8.take(part));
            assert!(utf8.is_text(), "parts of {size}");
        }
        let mut utf8 = Utf8::default();
        utf8.take(&content.as_bytes()[..2]);
        assert!(!utf8.is_text(), "half a character at the end");
    }
}
