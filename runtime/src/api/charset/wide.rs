//! Character sets of two or four bytes a unit.

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wide {
    /// Two bytes a character, the greater first; no surrogates.
    Ucs2,
    /// Two or four bytes a character, the greater byte of a unit first.
    Utf16,
    /// The same with the smaller byte first.
    Utf16le,
    /// Four bytes a character, the greatest first.
    Utf32,
}

impl Wide {
    /// The text; `None` if the bytes are no whole number of characters, or one is no character.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Wide::Ucs2 => units(bytes, u16::from_be_bytes)?.map(|unit| char::from_u32(unit.into())).collect(),
            Wide::Utf16 => char::decode_utf16(units(bytes, u16::from_be_bytes)?).collect::<Result<_, _>>().ok(),
            Wide::Utf16le => char::decode_utf16(units(bytes, u16::from_le_bytes)?).collect::<Result<_, _>>().ok(),
            Wide::Utf32 => units(bytes, u32::from_be_bytes)?.map(char::from_u32).collect(),
        }
    }
}

/// The bytes in units of `N`; `None` if some are left over.
fn units<const N: usize, U>(bytes: &[u8], read: fn([u8; N]) -> U) -> Option<impl Iterator<Item = U>> {
    let (whole, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| whole.iter().map(move |unit| read(*unit)))
}
