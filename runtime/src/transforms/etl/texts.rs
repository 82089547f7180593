//! The functions of texts.

use super::evaluate::Call;
use super::expression::Extra;
use super::functions::Function;
use super::place::Evaluated;
use super::value::{Maker, Scratch, Val, write_text};
use crate::transforms::masking;

/// The result of a function whose arguments are not NULL. Positions count characters, from 0.
pub(super) fn apply<'a>(call: Call<'a>, values: &[Val<'a>], scratch: &'a Scratch, out: &mut Val<'a>) -> Evaluated<()> {
    use Function as F;
    let (place, name) = (call.place, call.function.name());
    let made = match (call.function, values) {
        (F::Join, values) => scratch.make(place, name, |out| values.iter().try_for_each(|value| write_text(value, out)))?,
        (F::Format, [Val::Text(format), values @ ..]) => scratch.make(place, name, |out| {
            let mut parts = format.split("{}");
            out.push(parts.next().unwrap_or(""))?;
            let mut values = values.iter();
            for part in parts {
                match values.next() {
                    Some(value) => write_text(value, out)?,
                    None => return out.fail("the format has more {} than there are values"),
                }
                out.push(part)?;
            }
            if values.next().is_some() { out.fail("the format has fewer {} than there are values") } else { Ok(()) }
        })?,
        (F::Replace, [Val::Text(text), Val::Text(old), Val::Text(new), Val::Int(count)]) => {
            let count = match *count {
                -1 => usize::MAX,
                0.. => usize::try_from(*count).unwrap_or(usize::MAX),
                _ => return call.fail("the count is negative, other than -1"),
            };
            replace(call, text, old, new, count, scratch)?
        }
        (F::Strip, [Val::Text(text), Val::Text(characters)]) => scratch.make(place, name, |out| {
            let characters = *characters;
            out.push(text.trim_matches(|c| characters.contains(c)))
        })?,
        (F::Lower, [Val::Text(text)]) => scratch.make(place, name, |out| match text {
            text if text.is_ascii() => out.push_changed(text, str::make_ascii_lowercase),
            text => text.chars().flat_map(char::to_lowercase).try_for_each(|c| out.push_char(c)),
        })?,
        (F::Upper, [Val::Text(text)]) => scratch.make(place, name, |out| match text {
            text if text.is_ascii() => out.push_changed(text, str::make_ascii_uppercase),
            text => text.chars().flat_map(char::to_uppercase).try_for_each(|c| out.push_char(c)),
        })?,
        (F::ToLong, [Val::Text(text)]) => {
            return match text.trim().parse::<i128>() {
                Ok(number) if i64::try_from(number).is_ok() => out.put(Val::Int(number)),
                Ok(_) => call.fail("the number does not fit into 64 bits (overflow)"),
                Err(_) => call.fail("the text is not a whole number of 64 bits"),
            };
        }
        (F::ToDouble, [Val::Text(text)]) => {
            return match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => out.put(Val::Float(number)),
                _ => call.fail("the text is not a number, or too large"),
            };
        }
        (F::FromLong, [value @ Val::Int(_)]) => scratch.make(place, name, |out| write_text(value, out))?,
        (F::Count, [Val::Text(text), Val::Text(part)]) => {
            let part = *part;
            if part.is_empty() {
                return call.fail("the text to count is empty");
            }
            return out.put(Val::Int(text.matches(part).count() as i128));
        }
        (F::Find, [Val::Text(text), Val::Text(part)]) => {
            let before = text.find(*part).and_then(|start| text.get(..start));
            return out.put(Val::Int(before.map_or(-1, |before| before.chars().count() as i128)));
        }
        (F::IsAlpha, [Val::Text(text)]) => {
            return out.put(Val::Bool(!text.is_empty() && text.chars().all(char::is_alphabetic)));
        }
        (F::IsDigit, [Val::Text(text)]) => {
            return out.put(Val::Bool(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())));
        }
        (F::Matches, [Val::Text(text)]) => {
            let Extra::Regex(regex) = call.extra else { return call.fail("the regular expression is missing") };
            return out.put(Val::Bool(regex.is_match(text)));
        }
        (F::Mask, [Val::Text(text), Val::Int(start), Val::Int(end), Val::Text(with)]) => {
            let with = one_character(call, with)?;
            let (start, end) = positions(call, *start, *end)?;
            scratch.make(place, name, |out| {
                let is_short = if text.is_ascii() { text.len() <= end } else { text.chars().nth(end).is_none() };
                if is_short {
                    return out.fail("the last position is behind the end of the text");
                }
                masked(text, start, end, with, out)
            })?
        }
        (F::After, [Val::Text(text), Val::Text(mark)]) => {
            scratch.make(place, name, |out| out.push(split(text, mark).map_or("", |(_, after)| after)))?
        }
        (F::Before, [Val::Text(text), Val::Text(mark)]) => {
            scratch.make(place, name, |out| out.push(split(text, mark).map_or(text, |(before, _)| before)))?
        }
        (F::Between, [Val::Text(text), Val::Text(from), Val::Text(to)]) => {
            let mut found = false;
            let span = scratch.make(place, name, |out| {
                let after = split(text, from).map(|(_, after)| after);
                match after.and_then(|after| split(after, to)) {
                    Some((between, _)) => {
                        found = true;
                        out.push(between)
                    }
                    None => Ok(()),
                }
            })?;
            if !found {
                return out.put(Val::Null);
            }
            span
        }
        (F::Uuid, []) => scratch.make(place, name, |out| {
            // Version 4, variant 1.
            let bits = fastrand::u128(..) & !(0xf000 << 64) & !(0xc000 << 48) | 0x4000 << 64 | 0x8000 << 48;
            for (digit, shift) in (0..32).map(|digit| (digit, 124 - 4 * digit)) {
                if matches!(digit, 8 | 12 | 16 | 20) {
                    out.push_char('-')?;
                }
                out.push_char(char::from_digit((bits >> shift & 15) as u32, 16).unwrap_or('0'))?;
            }
            Ok(())
        })?,
        (F::Hash, [value]) => {
            let Extra::Hasher(hasher) = call.extra else { return call.fail("the salt is missing") };
            let text = match value {
                Val::Text(text) => *text,
                value => scratch.make(place, name, |out| write_text(value, out))?,
            };
            let hash = hasher.hex(text.as_bytes());
            scratch.make(place, name, |out| out.push_bytes(&hash))?
        }
        (F::Partial, [Val::Text(text), Val::Int(start), Val::Int(end), Val::Text(with)]) => {
            let with = one_character(call, with)?;
            let (start, end) = positions(call, *start, *end)?;
            scratch.make(place, name, |out| masked(text, start, end, with, out))?
        }
        (F::Truncate, [Val::Text(text), Val::Int(count)]) => {
            let Ok(count) = usize::try_from(*count) else { return call.fail("the number of characters is negative") };
            scratch.make(place, name, |out| out.push(masking::truncate(text, count)))?
        }
        (F::Digits, [value]) => {
            let Extra::Digits(cipher, least, most) = call.extra else { return call.fail("the salt is missing") };
            if let Val::Int(number) = value {
                return out.put(Val::Int(masking::mask_integer(cipher, *number, *least, *most)));
            }
            let Val::Text(text) = value else { return call.fail("the value is neither a text nor an integer") };
            let mut bytes = text.as_bytes().to_vec();
            cipher.mask(&mut bytes, |_| true);
            scratch.make(place, name, |out| out.push_bytes(&bytes))?
        }
        _ => return call.fail("the arguments are not of the right types"),
    };
    out.put(Val::Text(made))
}

/// Replaces the first `count` hits. An empty `old` is refused, because it would be found everywhere.
fn replace<'a>(call: Call<'a>, text: &str, old: &str, new: &str, count: usize, scratch: &'a Scratch) -> Evaluated<&'a str> {
    scratch.make(call.place, call.function.name(), |out| {
        if old.is_empty() {
            return out.fail("the text to be replaced is empty");
        }
        let mut end = 0;
        let mut replace = |start: usize| {
            out.push(text.get(end..start).unwrap_or(""))?;
            end = start + old.len();
            out.push(new)
        };
        match call.extra {
            // A text in UTF-8 is found at borders of characters only.
            Extra::Finder(finder) => finder.find_iter(text.as_bytes()).take(count).try_for_each(replace)?,
            _ => text.match_indices(old).take(count).try_for_each(|(start, _)| replace(start))?,
        }
        out.push(text.get(end..).unwrap_or(""))
    })
}

/// Appends a text, in which `with` stands in the place of each masked character.
fn masked(text: &str, start: usize, end: usize, with: char, out: &mut Maker<'_>) -> Evaluated<()> {
    let (head, count, tail) = masking::partial(text, start, end);
    out.push(head)?;
    out.push_run(with, count)?;
    out.push(tail)
}

/// The parts of a text before and after the first mark.
fn split<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    match mark.as_bytes() {
        // Most marks are one character, for which the search needs no preparation.
        &[byte] if byte.is_ascii() => text.split_once(char::from(byte)),
        _ => text.split_once(mark),
    }
}

fn one_character(call: Call<'_>, text: &str) -> Evaluated<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => call.fail("the mask is not one character"),
    }
}

fn positions(call: Call<'_>, start: i128, end: i128) -> Evaluated<(usize, usize)> {
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start <= end => Ok((start, end)),
        _ => call.fail("the positions are negative, or the first one is behind the last one"),
    }
}
