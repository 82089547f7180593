//! The error that the program reports when it fails, as people and scripts see it.

use base64::Engine as _;
use tests::harness::registry_stub;
use tests::{Failure, Result};

/// The text in front of the advice of an error.
pub(crate) const HELP: &str = "\n  help:  ";

/// Every secret that the tests give to the program.
const SECRETS: [&str; 8] = [
    "alice-secret",
    "bob-secret",
    "mallory-secret",
    "planted-secret",
    "no-such-secret",
    "dts-secret",
    "PRIVATE KEY",
    registry_stub::PASSWORD,
];

/// The error at the end of the program's output. Its first line states what happened; the other lines say where, why and what to do.
pub(crate) fn error_in(output: &str) -> Result<&str> {
    let starts = |line: &str| line.starts_with("error: ") || line.starts_with("error[");
    let mut offset = 0;
    for line in output.split_inclusive('\n') {
        if starts(line) {
            return Ok(&output[offset..]);
        }
        offset += line.len();
    }
    Failure::err(format!("no error is reported:\n{output}"))
}

/// Checks that the output ends with an error that contains `texts` and has exactly one help line, and that no secret is shown.
pub(crate) fn assert_error(output: &str, texts: &[&str]) -> Result<()> {
    let error = error_in(output)?;
    println!("{error}");
    for text in texts {
        assert!(error.contains(text), "the error does not contain {text:?}:\n{output}");
    }
    assert_eq!(error.matches(HELP).count(), 1, "the error must have one help:\n{output}");
    assert_no_secrets(output);
    Ok(())
}

/// Checks that the program shows none of the secrets that tests give it.
pub(crate) fn assert_no_secrets(output: &str) {
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", registry_stub::USER, registry_stub::PASSWORD));
    for secret in SECRETS.into_iter().chain([login.as_str()]) {
        assert!(!output.contains(secret), "{secret} is shown:\n{output}");
    }
}
