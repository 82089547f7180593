//! The errors of a compute node, which have other numbers and texts than those of MySQL.

use super::wire::{error_message, read_error};

/// The number of the error for a statement that the parser does not know.
pub(super) const PARSER: u16 = 4500;

/// The error for a statement that the parser of a compute node does not know.
pub(super) fn parser_error() -> Vec<u8> {
    named(PARSER, "ERR_PARSER", "Not support and check the manual that corresponds to your CoronaDB server version")
}

/// The error for a missing privilege of the whole instance.
pub(super) fn privilege_error(privilege: &str) -> Vec<u8> {
    named(5110, "ERR_CHECK_PRIVILEGE_FAILED", &format!("the account does not have the {privilege} privilege"))
}

/// The error for a command that is not known.
pub(super) fn unknown_command() -> Vec<u8> {
    error_message(1047, "08S01", "Unknown command")
}

/// The error of a failed dump.
pub(super) fn dump_error() -> Vec<u8> {
    error_message(1236, "HY000", "binlog dump error!")
}

/// The error of a statement of the stand-in's own, or of one that the stand-in cannot imitate.
pub(super) fn own_error(text: &str) -> Vec<u8> {
    error_message(3999, "HY000", &format!("the stand-in for PolarDB-X: {text}"))
}

fn named(number: u16, name: &str, text: &str) -> Vec<u8> {
    error_message(number, "HY000", &format!("ERR-CODE: [PXC-{number}][{name}] {text}"))
}

/// The error of a compute node for an error that MySQL returned for a statement.
pub(super) fn translated(message: &[u8]) -> Vec<u8> {
    let (number, _, text) = read_error(message);
    match number {
        1064 => parser_error(),
        1146 => named(4006, "ERR_TABLE_NOT_EXIST", &text),
        1049 => named(4616, "ERR_UNKNOWN_DATABASE", &text),
        1142 => named(5108, "ERR_CHECK_PRIVILEGE_FAILED_ON_TABLE", &text),
        1044 => named(5118, "ERR_CHECK_PRIVILEGE_FAILED_ON_DB", &text),
        1227 => named(5110, "ERR_CHECK_PRIVILEGE_FAILED", &text),
        _ => message.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_get_the_numbers_of_a_compute_node() {
        for (from, to) in [(1064, 4500), (1146, 4006), (1049, 4616), (1142, 5108), (1044, 5118), (1227, 5110), (1062, 1062)] {
            let (number, _, text) = read_error(&translated(&error_message(from, "42000", "text")));
            assert_eq!(number, to);
            assert_eq!(text.starts_with(&format!("ERR-CODE: [PXC-{to}][ERR_")), from != to, "{text}");
        }
    }
}
