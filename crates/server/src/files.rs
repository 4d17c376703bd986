//! What an uploaded file is: told from its content, never from what the caller says.
//!
//! Owns: types, sizes of pictures, names. Must not know: where a file is kept, who may read it. Invariant: only what a
//! browser shows without running anything in it is ever shown inside a page: see [`shown_inline`].

mod name;
mod picture;
mod text;

pub use name::cleaned;
use text::Utf8;

/// How much of a file is kept in memory to tell what it is. Unit: bytes.
const HEAD: usize = 256 * 1024;
/// What is unknown.
const UNKNOWN: &str = "application/octet-stream";

/// Signatures at the beginning of files. Sources: the MIME Sniffing Standard (WHATWG), section 6; for the archives the
/// formats' own descriptions.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"OggS\0", "application/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"\0asm", "application/wasm"),
];

/// Looks at a file while it comes in.
#[derive(Debug, Default)]
pub struct Look {
    head: Vec<u8>,
    utf8: Utf8,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its type.
    pub media_type: &'static str,
    /// Width and height of a picture as it is shown. Unit: pixels.
    pub size: Option<(u32, u32)>,
}

impl Look {
    /// Looks at the next part.
    pub fn at(&mut self, part: &[u8]) {
        let missing = HEAD - self.head.len();
        self.head.extend_from_slice(&part[..part.len().min(missing)]);
        self.utf8.take(part);
    }

    /// Tells what it is; `name` chooses among kinds of text only.
    pub fn tell(self, name: &str) -> Kind {
        let binary = signature(&self.head);
        let media_type =
            binary.unwrap_or_else(|| if self.utf8.is_text() { text::kind(&self.head, name) } else { UNKNOWN });
        let size = media_type.starts_with("image/").then(|| picture::size(media_type, &self.head)).flatten();
        Kind { media_type, size }
    }
}

/// Returns whether a file of this type is shown inside a page: pictures in which nothing can run.
pub fn shown_inline(media_type: &str) -> bool {
    matches!(media_type, "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/avif")
}

fn signature(head: &[u8]) -> Option<&'static str> {
    if let Some((_, media_type)) = SIGNATURES.iter().find(|(start, _)| head.starts_with(start)) {
        return Some(media_type);
    }
    match (head.get(..4)?, head.get(8..12)?) {
        (b"RIFF", b"WEBP") => return Some("image/webp"),
        (b"RIFF", b"WAVE") => return Some("audio/wav"),
        (b"RIFF", b"AVI ") => return Some("video/x-msvideo"),
        _ => {}
    }
    // ISO base media: the brand says what is inside.
    if head.get(4..8)? != b"ftyp" {
        return None;
    }
    Some(match head.get(8..12)? {
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"mif1" | b"msf1" => "image/heic",
        b"M4A " => "audio/mp4",
        b"qt  " => "video/quicktime",
        _ => "video/mp4",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(content: &[u8], name: &str) -> Kind {
        let mut look = Look::default();
        content.chunks(7).for_each(|part| look.at(part));
        look.tell(name)
    }

    #[test]
    fn the_content_says_what_a_file_is_and_the_name_does_not() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"\x89PNG\r\n\x1a\nrest", "evil.html", "image/png"),
            (b"%PDF-1.7", "a.png", "application/pdf"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "x", "image/webp"),
            (b"\0\0\0\x20ftypavif\0\0\0\0", "x", "image/avif"),
            (b"\0\0\0\x20ftypisom\0\0\0\0", "x", "video/mp4"),
            (b"PK\x03\x04", "letter.docx", "application/zip"),
            (b"just words", "a.png", "text/plain"),
            (b"# Title", "README.md", "text/markdown"),
            (b"a,b\n1,2", "table.CSV", "text/csv"),
            (b"{\"a\": 1}", "x.json", "application/json"),
            (b"<svg onload=alert(1)>", "x.png", "image/svg+xml"),
            (b"<?xml version='1.0'?>\n<!-- x --><svg xmlns='http://www.w3.org/2000/svg'/>", "x", "image/svg+xml"),
            (b"  <!DOCTYPE html><p>", "x.txt", "text/html"),
            (b"<script>alert(1)</script>", "x.txt", "text/html"),
            (b"<?xml version='1.0'?><rss/>", "x", "application/xml"),
            (b"words\0and zeros", "x.txt", "application/octet-stream"),
            (b"\xc3\x28 no utf-8", "x.txt", "application/octet-stream"),
            (b"cut off \xc3", "x.txt", "application/octet-stream"),
            ("übergröße 😀".as_bytes(), "x", "text/plain"),
            (b"", "x.png", "text/plain"),
        ];
        for (content, name, media_type) in cases {
            assert_eq!(told(content, name).media_type, *media_type, "{name} {content:?}");
        }
    }

    #[test]
    fn nothing_in_which_something_can_run_is_shown_inside_a_page() {
        for media_type in ["image/svg+xml", "text/html", "application/xml", "application/pdf", "text/plain", UNKNOWN] {
            assert!(!shown_inline(media_type), "{media_type}");
        }
        assert!(shown_inline("image/png"));
    }
}
