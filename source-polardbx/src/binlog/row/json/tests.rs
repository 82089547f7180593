use proptest::prelude::*;

use super::*;

fn print(document: &[u8]) -> Result<String, String> {
    let mut out = b"before".to_vec();
    write_json(document, JsonStyle::MySql80, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap()["before".len()..].to_owned())
}

#[test]
fn small_objects_hold_their_keys_and_values_by_offset() {
    // {"a": 1, "bb": [true, null, "x"]}
    let array = [&[3, 0, 15, 0][..], &[4, 1, 0], &[4, 0, 0], &[12, 13, 0], &[1, b'x']].concat();
    let head = [&[2, 0, 36, 0][..], &[18, 0, 1, 0], &[19, 0, 2, 0], &[5, 1, 0], &[2, 21, 0]].concat();
    let document = [&[0][..], &head, b"abb", &array].concat();
    assert_eq!(print(&document).unwrap(), r#"{"a": 1, "bb": [true, null, "x"]}"#);
    // A truncated document is an error and does not print as a shorter document.
    for length in 1..document.len() {
        assert!(print(&document[..length]).is_err(), "{length}");
    }
}

#[test]
fn an_empty_document_is_null() {
    assert_eq!(print(b"").unwrap(), "null");
}

/// A document of `levels` arrays that are nested in one another.
fn nested(levels: usize) -> Vec<u8> {
    let mut inner = vec![0, 0, 4, 0];
    for _ in 1..levels {
        let size = inner.len() as u16 + 7;
        inner = [&[1, 0][..], &size.to_le_bytes(), &[2, 7, 0], &inner].concat();
    }
    [&[2][..], &inner].concat()
}

#[test]
fn a_hundred_levels_and_no_more() {
    assert_eq!(print(&nested(100)).unwrap(), "[".repeat(100) + &"]".repeat(100));
    assert!(print(&nested(101)).unwrap_err().contains("more than 100 levels"));
}

#[test]
fn values_that_share_their_bytes_are_refused() {
    // Each of 60 levels points twice to the next level, so a document of some hundred bytes would print 2^60 values.
    let mut inner = vec![0, 0, 4, 0];
    for _ in 0..60 {
        let size = inner.len() as u16 + 10;
        inner = [&[2, 0][..], &size.to_le_bytes(), &[2, 10, 0, 2, 10, 0], &inner].concat();
    }
    assert!(print(&[&[2][..], &inner].concat()).unwrap_err().contains("in one another"));
}

#[test]
fn what_cannot_be_is_an_error() {
    for document in [
        &[99, 0][..],
        &[4, 3],
        &[12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[12, 1, 0xff],
        &[12, 5, b'a'],
        &[2, 1, 0, 200, 0, 4, 0, 0],
        &[2, 0xff, 0xff, 4, 0],
        &[2, 1, 0, 8, 0, 12, 2, 0, 0],
        &[3, 0xff, 0xff, 0xff, 0xff, 8, 0, 0, 0],
        &[15, 246, 2, 70, 0],
        &[15, 246, 3, 2, 3, 0x80],
        &[15, 10, 2, 0, 0],
        &[15, 11, 8, 0, 0, 0, 0, 0, 0, 0, 0x7f],
        &[15, 12, 8, 0, 0, 0, 0, 0, 0, 0, 0xff],
        &[11, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    ] {
        assert!(print(document).is_err(), "{document:?}: {:?}", print(document));
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = print(&bytes);
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(at in 0usize..400, byte in any::<u8>()) {
        let mut document = nested(40);
        let length = document.len();
        document[at % length] = byte;
        if let Ok(text) = print(&document) {
            prop_assert!(text.len() <= 40 * length);
        }
    }
}
