//! Golden files: a test compares its result with a file of the repository. `UPDATE_GOLDEN=1` in the environment rewrites the file; review
//! the difference before committing it.

use std::fs;
use std::path::Path;

use crate::{Failure, Result};

/// Compares `found` with the file `tests/golden/<name>`; a failure shows the first line that differs.
pub fn check(name: &str, found: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        return Ok(fs::write(file, found)?);
    }
    let missing = |error: std::io::Error| Failure::new(format!("golden/{name}: {error}; UPDATE_GOLDEN=1 writes it"));
    let expected = fs::read_to_string(&file).map_err(missing)?;
    match first_difference(&expected, found) {
        None => Ok(()),
        Some(difference) => Failure::err(format!("golden/{name} {difference}")),
    }
}

fn first_difference(expected: &str, found: &str) -> Option<String> {
    let (mut expected, mut found) = (expected.split('\n'), found.split('\n'));
    for number in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                return Some(format!(
                    "line {number}:\n  expected: {}\n  found: {}",
                    a.unwrap_or("(no such line)"),
                    b.unwrap_or("(no such line)")
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_shown() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        let difference = first_difference("a\nb\nc", "a\nx\ny").unwrap();
        assert!(difference.starts_with("line 2:"), "{difference}");
        assert!(difference.contains("expected: b") && difference.contains("found: x"), "{difference}");
        assert!(first_difference("a\n", "a").unwrap().contains("(no such line)"));
    }
}
