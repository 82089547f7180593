//! Which operations of a table are delivered: DTS's `dml_op` and `ddl_op`.

use serde_json::Value;

const DML: [(&str, &str); 3] = [("insert", "i"), ("update", "u"), ("delete", "d")];

/// Kinds of DDL: the name here, and the words in the name there. A table's index is altered by either form.
const DDL: [(&str, &[&str]); 7] = [
    ("create_table", &["createtable", "ct"]),
    ("alter_table", &["altertable", "at"]),
    ("drop_table", &["droptable", "dt"]),
    ("rename_table", &["renametable", "rt"]),
    ("truncate_table", &["truncatetable", "tt"]),
    ("create_index", &["createindex", "ci"]),
    ("drop_index", &["dropindex", "di"]),
];

/// The operations that are kept, or why they cannot be told.
pub(super) enum Kept {
    All,
    Only(Vec<&'static str>),
    /// The option has a word that is not known.
    Unknown(&'static str),
}

/// The operations for the two options. An option that is not there keeps all of its kind.
pub(super) fn kept(dml: Option<&Value>, ddl: Option<&Value>) -> Kept {
    let (Some(dml), Some(ddl)) = (words(dml), words(ddl)) else { return Kept::Unknown("dml_op or ddl_op") };
    let mut kept = Vec::new();
    match dml {
        None => kept.extend(DML.map(|(name, _)| name)),
        Some(words) => {
            for word in words {
                match DML.iter().find(|(name, short)| word == *name || word == *short) {
                    Some((name, _)) => kept.push(*name),
                    None => return Kept::Unknown("dml_op"),
                }
            }
        }
    }
    match ddl {
        None if kept.len() == DML.len() => return Kept::All,
        None => kept.push("ddl"),
        Some(words) => {
            for word in words {
                match DDL.iter().find(|(_, names)| names.contains(&word.as_str())) {
                    Some((name, _)) => kept.push(*name),
                    None if word.contains("database") || word.contains("schema") => kept.push("database"),
                    None => return Kept::Unknown("ddl_op"),
                }
            }
        }
    }
    let mut seen = Vec::new();
    kept.retain(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    Kept::Only(kept)
}

/// The words of an option, in small letters without blanks: `Some(None)` for all operations, `None` if it is not a list of words.
#[allow(clippy::option_option)]
fn words(option: Option<&Value>) -> Option<Option<Vec<String>>> {
    let words: Vec<String> = match option {
        None | Some(Value::Null) => return Some(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Some(None),
        Some(Value::String(text)) => text.split([',', ';', '|']).map(str::to_owned).collect(),
        Some(Value::Array(list)) => list.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    let plain = |word: &String| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let mut words: Vec<String> = words.iter().map(plain).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| word == "all") {
        return Some(None);
    }
    words.retain(|word| word != "none");
    Some(Some(words))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn only(dml: Option<Value>, ddl: Option<Value>) -> Option<Vec<&'static str>> {
        match kept(dml.as_ref(), ddl.as_ref()) {
            Kept::Only(kept) => Some(kept),
            _ => None,
        }
    }

    #[test]
    fn operations_are_named_in_several_ways() {
        assert_eq!(only(Some(json!("i,d")), None), Some(vec!["insert", "delete", "ddl"]));
        assert_eq!(
            only(Some(json!("INSERT")), Some(json!("CREATE TABLE, alter_table,rt"))),
            Some(vec!["insert", "create_table", "alter_table", "rename_table"])
        );
        assert_eq!(only(Some(json!(["insert", "insert"])), Some(json!("none"))), Some(vec!["insert"]));
        assert_eq!(only(Some(json!("none")), None), Some(vec!["ddl"]));
        assert!(matches!(kept(Some(&json!(" ")), None), Kept::All));
        assert!(matches!(kept(Some(&json!("all")), None), Kept::All));
        assert!(matches!(kept(None, None), Kept::All));
        assert!(matches!(kept(Some(&json!("x")), None), Kept::Unknown("dml_op")));
        assert!(matches!(kept(Some(&json!(7)), None), Kept::Unknown(_)));
    }
}
