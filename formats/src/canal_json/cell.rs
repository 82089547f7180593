//! The text of one cell in `data` and `old`.

use runtime::{Charset, Value, text};

use super::binary::{write_base64, write_hex};
use super::config::{BinaryText, DecimalText, JsonText};
use super::form::Form;
use super::json_text::canal_document;
use super::number::{write_f32, write_f64};
use crate::error::Refusal;
use crate::escape::{write_latin1, write_text, write_utf8};
use crate::labels::{enum_label, set_labels};
use crate::limits::{MAX_TIME, MAX_TIMESTAMP};

/// Appends the text of a cell that is not NULL, escaped, without quotes around it.
///
/// Takes the value by reference: copying one that was just unpacked costs more than writing most of them.
pub(super) fn write_cell(out: &mut Vec<u8>, value: &Value<'_>, form: &Form) -> Result<(), Refusal> {
    match (form, value) {
        (Form::Int { unsigned: false, .. }, &Value::Int(value)) => text::write_i64(out, value),
        (Form::Int { unsigned: true, .. }, &Value::UInt(value)) => text::write_u64(out, value),
        (Form::Decimal(DecimalText::Exact), &Value::Decimal(value)) => write_text(out, value),
        (Form::Decimal(DecimalText::Canal), &Value::Decimal(value)) => write_text(out, without_last_zeros(value)),
        (Form::Float, &Value::Float(value)) if value.is_finite() => write_f32(out, value),
        (Form::Double, &Value::Double(value)) if value.is_finite() => write_f64(out, value),
        (Form::Bit, &Value::Bit(value)) => text::write_u64(out, value),
        (Form::Year, &Value::Year(value)) => text::write_year(out, value),
        (Form::Date, &Value::Date(value)) => text::write_date(out, value),
        (Form::Time { fsp }, &Value::Time(value)) if value.unsigned_abs() <= MAX_TIME => text::write_time(out, value, *fsp),
        (Form::DateTime { fsp }, &Value::DateTime(value)) => text::write_datetime(out, value, *fsp),
        (Form::Timestamp { fsp, offset_seconds }, &Value::Timestamp(value)) if (0..=MAX_TIMESTAMP).contains(&value) => {
            text::write_timestamp(out, value, *fsp, *offset_seconds);
        }
        (Form::Text { charset: Charset::UTF8 }, &Value::Text(value)) => write_utf8(out, value).ok_or(Refusal::InvalidText)?,
        (Form::Text { charset }, &Value::Text(value)) => write_text(out, &charset.decode(value).ok_or(Refusal::InvalidText)?),
        (Form::UnpaddedBytes, &Value::Bytes(value)) => write_latin1(out, without_padding(value)),
        (Form::Bytes(form), &Value::Bytes(value)) | (Form::Geometry(form), &Value::Geometry(value)) => match form {
            BinaryText::Latin1 => write_latin1(out, value),
            BinaryText::Base64 => write_base64(out, value),
            BinaryText::Hex => write_hex(out, value),
        },
        (Form::Enum, &Value::Enum(value)) => text::write_u64(out, u64::from(value)),
        (Form::Set, &Value::Set(value)) => text::write_u64(out, value),
        (Form::EnumLabel(labels), &Value::Enum(index)) => write_text(out, enum_label(index, labels)?),
        (Form::SetLabels(labels), &Value::Set(mask)) => {
            for (position, label) in set_labels(mask, labels)?.enumerate() {
                write_text(out, if position > 0 { "," } else { "" });
                write_text(out, label);
            }
        }
        (Form::Json(form), &Value::Json(value)) => {
            let document = std::str::from_utf8(value).map_err(|_| Refusal::InvalidJson)?;
            match form {
                JsonText::Server => write_text(out, document),
                JsonText::Canal => write_text(out, &canal_document(document).ok_or(Refusal::InvalidJson)?),
            }
        }
        (Form::Float, &Value::Float(_))
        | (Form::Double, &Value::Double(_))
        | (Form::Time { .. }, &Value::Time(_))
        | (Form::Timestamp { .. }, &Value::Timestamp(_)) => return Err(Refusal::OutOfRange),
        _ => return Err(Refusal::WrongCell),
    }
    Ok(())
}

/// Leaves out what Canal leaves out of a decimal's text: the last group of fewer than nine digits after the point if all of them are zero,
/// but never the last digit after the point.
pub(super) fn without_last_zeros(decimal: &str) -> &str {
    let Some((whole, fraction)) = decimal.split_once('.') else { return decimal };
    let groups = fraction.len() / 9 * 9;
    match fraction.get(groups..) {
        Some(last) if last.bytes().all(|digit| digit == b'0') => decimal.get(..whole.len() + 1 + groups.max(1)).unwrap_or(decimal),
        _ => decimal,
    }
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_as_canal_writes_them() {
        for (exact, canal) in [
            ("5.00", "5.0"),
            ("5.10", "5.10"),
            ("-0.01", "-0.01"),
            ("1.5000000000", "1.500000000"),
            ("0.0000000001", "0.0000000001"),
            ("0.000000000", "0.000000000"),
            ("-0.5000", "-0.5000"),
            ("1.00000000100", "1.000000001"),
            ("-99999", "-99999"),
            ("1.000000000000000000000000000000", "1.000000000000000000000000000"),
        ] {
            assert_eq!(without_last_zeros(exact), canal);
        }
    }
}
