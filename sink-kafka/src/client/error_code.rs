//! What an answer to Produce means: was the batch appended, and what now?

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the log.
    Appended,
    /// It was in the log already; where is not said.
    Duplicate,
    /// Not appended: too large.
    TooLarge,
    /// Not appended: a record is refused for what it is.
    Refused,
    /// Not appended: no permission.
    Denied,
    /// Not appended: broker, topic or task are set up wrongly.
    Misconfigured,
    /// Not appended: the broker calls our request invalid.
    Invalid,
    /// Not appended: try again.
    Again,
    /// Perhaps appended.
    Unknown,
    /// The producer id is worth nothing any more: look again with a new one.
    Renew,
}

/// The fate by the protocol's error code. Codes that we do not know count as unknown fates, never as "not appended".
pub(crate) fn fate(code: i16) -> Fate {
    match code {
        0 => Fate::Appended,
        46 => Fate::Duplicate,
        10 | 18 => Fate::TooLarge,
        2 | 87 | 32 => Fate::Refused,
        29 | 31 | 58 | 53 => Fate::Denied,
        17 | 21 | 33 | 34 | 35 | 43 | 44 | 76 => Fate::Misconfigured,
        42 => Fate::Invalid,
        5 | 19 | 72 | 74 | 75 | 89 => Fate::Again,
        45 | 47 | 59 | 90 => Fate::Renew,
        _ => Fate::Unknown,
    }
}

/// Whether an answer to a question other than Produce means that another broker must be asked, or the same one later.
pub(crate) fn is_about_leadership(code: i16) -> bool {
    matches!(code, 3 | 5 | 6 | 7 | 9 | 13 | 56 | 72 | 74 | 75 | 78 | 89)
}

/// Whether a code is about permissions.
pub(crate) fn is_denial(code: i16) -> bool {
    fate(code) == Fate::Denied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_documented_one() {
        let table: [(Fate, &[i16]); 10] = [
            (Fate::Appended, &[0]),
            (Fate::Duplicate, &[46]),
            (Fate::TooLarge, &[10, 18]),
            (Fate::Refused, &[2, 87, 32]),
            (Fate::Denied, &[29, 31, 58, 53]),
            (Fate::Misconfigured, &[17, 21, 33, 34, 35, 43, 44, 76]),
            (Fate::Invalid, &[42]),
            (Fate::Again, &[5, 19, 72, 74, 75, 89]),
            (Fate::Unknown, &[3, 6, 7, 13, 20, 56, 57, -1, 1, 4711, i16::MIN, i16::MAX]),
            (Fate::Renew, &[45, 47, 59, 90]),
        ];
        for (expected, codes) in table {
            for &code in codes {
                assert_eq!(fate(code), expected, "{code}");
            }
        }
    }
}
