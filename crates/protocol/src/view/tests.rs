use super::*;

#[test]
fn offsets_count_utf16_and_never_split_a_pair() {
    assert_eq!(utf16_len("a😀ü"), 4);
    assert_eq!(utf16_prefix("a😀ü", 1), 1);
    assert_eq!(utf16_prefix("a😀ü", 2), 5, "inside the pair: the whole pair");
    assert_eq!(utf16_prefix("a😀ü", 3), 5);
    assert_eq!(utf16_prefix("a😀ü", 99), 7);
}
