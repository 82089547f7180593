//! Labels of enums and sets.

use crate::error::Refusal;

/// The label of an enum's index from 1; 0 is the empty error value.
pub(crate) fn enum_label(index: u16, labels: &[String]) -> Result<&str, Refusal> {
    match usize::from(index).checked_sub(1) {
        None => Ok(""),
        Some(index) => labels.get(index).map(String::as_str).ok_or(Refusal::NoLabel),
    }
}

/// The labels of a set's mask, in the order of its definition.
pub(crate) fn set_labels(mask: u64, labels: &[String]) -> Result<impl Iterator<Item = &str> + Clone, Refusal> {
    if mask.checked_shr(labels.len() as u32).unwrap_or(0) != 0 {
        return Err(Refusal::NoLabel);
    }
    let chosen = (0..u64::BITS).zip(labels).filter(move |(bit, _)| mask >> bit & 1 == 1);
    Ok(chosen.map(|(_, label)| label.as_str()))
}
