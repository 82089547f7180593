//! Changes messages at random.

use fastrand::Rng;

/// Byte sequences with a meaning in JSON or in Avro's varints.
const MEANINGFUL: [&[u8]; 16] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"null",
    b"1e999",
    b"-",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
    b"\x01",
    b"\xfe\xff\xff\xff\x0f",
];

/// Changes `message` at one to four places. Pieces of `other`, which is another message, may be inserted.
pub(super) fn mutate(random: &mut Rng, message: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=message.len());
        let end = at + random.usize(..=(message.len() - at).min(12));
        match random.u8(..8) {
            0 => message.truncate(at),
            1 => drop(message.drain(at..end)),
            2 => {
                let piece = message[at..end].to_vec();
                message.splice(at..at, piece);
            }
            3 => drop(message.splice(at..end, MEANINGFUL[random.usize(..MEANINGFUL.len())].iter().copied())),
            4 => {
                let from = random.usize(..=other.len());
                let to = from + random.usize(..=(other.len() - from).min(60));
                message.splice(at..end, other[from..to].iter().copied());
            }
            5 => (0..random.usize(..200)).for_each(|_| message.insert(at, b'[')),
            _ => {
                if let Some(byte) = message.get_mut(at) {
                    *byte = if random.bool() { *byte ^ (1 << random.u8(..8)) } else { random.u8(..) };
                }
            }
        }
    }
}
