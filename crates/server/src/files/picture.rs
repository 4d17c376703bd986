//! How large pictures are, so that pages need not move when one is loaded.

/// Largest side that is believed; beyond it the header is a joke. Unit: pixels.
const LARGEST: usize = 100_000;

/// Returns width and height as the picture is shown: cameras write lying pictures and say that they stand.
pub(super) fn size(media_type: &str, head: &[u8]) -> Option<(u32, u32)> {
    let size = imagesize::blob_size(head).ok()?;
    if size.width == 0 || size.height == 0 || size.width > LARGEST || size.height > LARGEST {
        return None;
    }
    let (width, height) = (u32::try_from(size.width).ok()?, u32::try_from(size.height).ok()?);
    let turned = media_type == "image/jpeg" && orientation(head).is_some_and(|o| (5..=8).contains(&o));
    Some(if turned { (height, width) } else { (width, height) })
}

/// Returns the orientation that a JPEG's Exif part says. Sources: JEITA CP-3451 section 4.6.4 (tag 0x0112), TIFF 6.0
/// section 2.
fn orientation(jpeg: &[u8]) -> Option<u16> {
    let mut at = 2;
    loop {
        let marker = jpeg.get(at..at + 2)?;
        let length = usize::from(u16::from_be_bytes(jpeg.get(at + 2..at + 4)?.try_into().ok()?));
        if marker[0] != 0xff || marker[1] == 0xda || length < 2 {
            return None;
        }
        let part = jpeg.get(at + 4..at + 2 + length)?;
        if marker[1] == 0xe1
            && let Some(tiff) = part.strip_prefix(b"Exif\0\0")
        {
            return of_tiff(tiff);
        }
        at += 2 + length;
    }
}

fn of_tiff(tiff: &[u8]) -> Option<u16> {
    let big = match tiff.get(..2)? {
        b"MM" => true,
        b"II" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let directory = usize::try_from(u32_at(4)?).ok()?;
    let entries = usize::from(u16_at(directory)?);
    let entry = |n: usize| directory.checked_add(2 + 12 * n);
    let tag = (0..entries).filter_map(entry).find(|at| u16_at(*at) == Some(0x0112))?;
    u16_at(tag.checked_add(8)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG's beginning: 40 wide, 30 high, with an Exif part that says `turned`.
    fn jpeg(turned: Option<u8>) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8];
        if let Some(turned) = turned {
            let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
            exif.extend([turned, 0, 0, 0, 0, 0, 0]);
            bytes.extend([0xff, 0xe1]);
            bytes.extend(u16::try_from(exif.len() + 2).expect("short").to_be_bytes());
            bytes.extend(exif);
        }
        bytes.extend([0xff, 0xc0, 0, 17, 8, 0, 30, 0, 40, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    #[test]
    fn a_picture_is_as_large_as_it_is_shown() {
        assert_eq!(size("image/jpeg", &jpeg(None)), Some((40, 30)));
        assert_eq!(size("image/jpeg", &jpeg(Some(1))), Some((40, 30)));
        assert_eq!(size("image/jpeg", &jpeg(Some(6))), Some((30, 40)));
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x01\0\x08\x06\0\0\0";
        assert_eq!(size("image/png", png), Some((512, 256)));
        let gif = b"GIF89a\x07\0\x05\0\0\0\0";
        assert_eq!(size("image/gif", gif), Some((7, 5)));
    }

    #[test]
    fn broken_headers_say_nothing_and_break_nothing() {
        for whole in [jpeg(Some(6)), jpeg(None)] {
            for end in 0..whole.len() {
                let _ = size("image/jpeg", &whole[..end]);
            }
            for at in 0..whole.len() {
                let mut torn = whole.clone();
                torn[at] = 0xff;
                let _ = size("image/jpeg", &torn);
            }
        }
        let huge = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x06\0\0\0";
        assert_eq!(size("image/png", huge), None);
    }
}
