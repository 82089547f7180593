//! Tests of statements with more columns or keys than a server allows.

use super::*;

fn refused(sql: &str) -> String {
    match read(sql) {
        Statement::Change(change) => match &change.effects[0] {
            Effect::Create { definition: Err(error), .. } => error.to_string(),
            other => panic!("{other:?}"),
        },
        Statement::Unreadable(error, _) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn many(from: usize, to: usize, each: impl Fn(usize) -> String) -> String {
    (from..to).map(each).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_table_has_at_most_4096_columns() {
    let columns = |count| many(0, count, |number| format!("c{number} INT"));
    assert_eq!(create(&format!("CREATE TABLE t ({})", columns(4_096))).columns.len(), 4_096);
    let error = refused(&format!("CREATE TABLE t ({})", columns(100_000)));
    assert!(error.contains("4096 columns"), "{error}");
}

#[test]
fn keys_without_names_are_numbered_up_to_99() {
    let keys = |count| many(0, count, |_| "KEY (a)".to_owned());
    let made = create(&format!("CREATE TABLE t (a INT, {})", keys(99)));
    assert_eq!((made.other_keys[0].name.as_str(), made.other_keys[98].name.as_str()), ("a", "a_99"));
    let error = refused(&format!("CREATE TABLE t (a INT, {})", keys(100_000)));
    assert!(error.contains("too many keys without a name over `a`"), "{error}");
}
