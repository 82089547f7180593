//! Words that the project does not use because the field has a better-known word for the same thing; see `docs/glossary.md`.

/// Banned words, and for each the words to use instead. Only whole words count; names are split into words at `_` and at capitals.
const BANNED: &[(&str, &str)] = &[
    ("sign of life", "heartbeat"),
    ("signs of life", "heartbeats"),
    ("hush", "redact"),
    ("heed", "cancellation"),
    ("afresh", "from scratch"),
    ("condemn", "invalidate"),
    ("condemned", "invalidated"),
    ("untold", "unknown"),
    ("parcel", "produce batch"),
    ("spares", "buffer pool"),
    ("to go on", "to continue; on the terminal, help"),
    ("goes on", "continues"),
    ("that are none", "not a …, invalid"),
    ("that is none", "not a …, invalid"),
    ("structure", "schema, table definition"),
    ("structures", "schemas, table definitions"),
    ("door", "listener; connect error"),
    ("doors", "listeners"),
];

/// The banned words in a text, each with its line number and the words to use instead.
pub(crate) fn banned_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = words(line);
        let padded = format!(" {} ", words.join(" "));
        let hits = BANNED.iter().filter(|(word, _)| padded.contains(&format!(" {word} ")));
        found.extend(hits.map(|(word, instead)| format!("line {}: {word:?} (write: {instead})", number + 1)));
    }
    found
}

/// The words of a line in lower case; a name such as `signsOfLife` or `signs_of_life` is three words.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (lower && c.is_uppercase()) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.iter_mut().next_back().into_iter().for_each(|word| word.extend(c.to_lowercase()));
        }
        lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn words_are_found_in_texts_and_in_names() {
    assert_eq!(banned_in("a\n/// Signs of life.\nlet signs_of_life = SignsOfLife;").len(), 2);
    assert!(banned_in("let recommended = amended.structured(); // indoors").is_empty());
}
