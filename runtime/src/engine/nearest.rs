//! Names by their likeness to a name that was written, for errors about a name that is not known.

/// A text that was written in the wrong place may be very long.
const LONGEST: usize = 64;

/// The known names, with those that are most like `written` first. Names that are as like as others keep their order, and so do all if nothing
/// was written.
pub(crate) fn nearest_first<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let written = letters(written);
    if written.is_empty() {
        return known.into_iter().collect();
    }
    let mut names: Vec<(usize, &str)> = known.into_iter().map(|name| (distance(&written, &letters(name)), name)).collect();
    names.sort_by_key(|(distance, _)| *distance);
    names.into_iter().map(|(_, name)| name).collect()
}

/// The characters that count. Names differ neither by case nor by their separators.
fn letters(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).take(LONGEST).collect()
}

/// How many characters must be inserted, removed, replaced or swapped with their neighbours to get from one name to the other.
fn distance(one: &[char], other: &[char]) -> usize {
    // The distances of the part of `one` that was looked at from each beginning of `other`: now, one character earlier, and two earlier.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let (mut earlier, mut before): (Vec<usize>, Option<char>) = (Vec::new(), None);
    for (i, &a) in one.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, (&b, pair)) in other.iter().zip(row.windows(2)).enumerate() {
            let &[diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            let mut least = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            let swapped = j.checked_sub(1).and_then(|at| Some((other.get(at)?, earlier.get(at)?)));
            if let (Some(before), Some((&previous, &distance))) = (before, swapped)
                && (before, a) == (b, previous)
            {
                least = least.min(distance + 1);
            }
            next.push(least);
        }
        earlier = std::mem::replace(&mut row, next);
        before = Some(a);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in
            [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("form", "from", 1), ("ab", "ba", 1), ("abc", "ca", 3)]
        {
            assert_eq!(distance(&letters(one), &letters(other)), expected, "{one} {other}");
            assert_eq!(distance(&letters(other), &letters(one)), expected, "{other} {one}");
        }
        assert_eq!(distance(&letters("On-Data error"), &letters("on_data_error")), 0);
        assert_eq!(distance(&letters(&"x".repeat(1 << 20)), &letters("a")), LONGEST);
    }

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["zstd", "lz4", "snappy", "gzip", "none"];
        assert_eq!(nearest_first("gzpi", known)[0], "gzip");
        assert_eq!(nearest_first("zst", known)[..2], ["zstd", "lz4"]);
        assert_eq!(nearest_first("", ["long", "b", "a"]), ["long", "b", "a"]);
    }
}
