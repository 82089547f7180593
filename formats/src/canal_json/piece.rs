//! Short byte strings that are written again and again.

/// Bytes that are copied with a size that the compiler knows if they are short, which costs half of a copy of any size.
pub(super) struct Piece {
    bytes: Vec<u8>,
    /// The bytes and what fills them up; `None` if they are longer.
    short: Option<[u8; Piece::SHORT]>,
}

impl Piece {
    const SHORT: usize = 32;

    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let mut short = [0; Self::SHORT];
        let fits = short.get_mut(..bytes.len()).map(|start| start.copy_from_slice(&bytes));
        Self { bytes, short: fits.map(|()| short) }
    }

    /// Appends the bytes.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match &self.short {
            Some(short) => {
                let end = out.len() + self.bytes.len();
                out.extend_from_slice(short);
                out.truncate(end);
            }
            None => out.extend_from_slice(&self.bytes),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length() {
        for length in 0..40u8 {
            let bytes: Vec<u8> = (0..length).collect();
            let mut out = b"x".to_vec();
            Piece::new(bytes.clone()).write(&mut out);
            out.push(b'y');
            assert_eq!(out, [b"x", bytes.as_slice(), b"y"].concat());
        }
    }
}
