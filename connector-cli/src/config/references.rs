//! References in texts: `${env:NAME}` and `${file:path}`.

use std::collections::BTreeMap;
use std::path::Path;

use runtime::Result;
use serde_json::Value;

/// Replaces the references in all texts of a tree.
pub(super) fn resolve(value: &mut Value, key: &str, expand: &dyn Fn(&str, &str) -> Result<String>) -> Result<()> {
    let inner = |name: &dyn std::fmt::Display| if key.is_empty() { name.to_string() } else { format!("{key}.{name}") };
    match value {
        Value::String(text) if text.contains("${") => *text = expand(text, key)?,
        Value::Array(list) => list.iter_mut().enumerate().try_for_each(|(index, value)| resolve(value, &inner(&index), expand))?,
        Value::Object(map) => map.iter_mut().try_for_each(|(name, value)| resolve(value, &inner(&name), expand))?,
        _ => {}
    }
    Ok(())
}

/// Why a reference cannot be replaced, and what to do.
#[derive(Debug)]
pub(super) struct Unresolved {
    pub(super) why: String,
    pub(super) help: String,
}

impl Unresolved {
    fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { why: why.into(), help: help.into() }
    }
}

/// The text with `${env:NAME}` and `${file:path}` replaced; `$${` stands for `${`.
pub(super) fn expand(text: &str, environment: &[(String, String)]) -> Result<String, Unresolved> {
    const FORM: &str = "write ${env:NAME} or ${file:path}; where the text itself has `${`, write `$${`";
    let variables: BTreeMap<&str, &str> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &reference[2..];
            continue;
        }
        out.push_str(before);
        let end = reference.find('}').ok_or_else(|| Unresolved::new("it has a `${` without `}`", FORM))?;
        let inner = &reference[2..end];
        rest = &reference[end + 1..];
        match inner.split_once(':') {
            Some(("env", "")) => return Err(Unresolved::new("`${env:}` names no environment variable", FORM)),
            Some(("file", "")) => return Err(Unresolved::new("`${file:}` names no file", FORM)),
            Some(("env", name)) => match variables.get(name) {
                Some(value) => out.push_str(value),
                // What is no usual name may be a secret that was written at the wrong place.
                None if !is_usual_name(name) => {
                    return Err(Unresolved::new(
                        "a reference names an environment variable that is not set, by a name with other characters than letters, digits and `_`",
                        FORM,
                    ));
                }
                None => {
                    let why = format!("the environment variable {name} is not set");
                    return Err(Unresolved::new(why, format!("set {name} in the environment of this program, or name another variable")));
                }
            },
            Some(("file", path)) => {
                // What looks like a URL may hold a secret, and is no path.
                let shown = if path.contains("://") { "(not shown: it looks like a URL)" } else { path };
                let unread = |why: &dyn std::fmt::Display, help: &str| Unresolved::new(format!("read file {shown}: {why}"), help);
                let content = runtime::read_small_file(Path::new(path))
                    .map_err(|error| unread(&error, "name an ordinary file that exists and can be read by this program"))?;
                let content = String::from_utf8(content).map_err(|_| unread(&"it is not valid UTF-8", "write it in UTF-8"))?;
                out.push_str(content.trim_end_matches(['\r', '\n']));
            }
            _ => return Err(Unresolved::new("a reference is ${env:NAME} or ${file:path}", FORM)),
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether a name has only the characters that shells allow in names of variables.
fn is_usual_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        for text in ["${env:DB_PAStp://u:s3cret@registry}", "${env:s3cret!}", "${file:/nowhttp://u:s3cret@registry}"] {
            let error = expand(text, &[]).unwrap_err();
            assert!(!format!("{} {}", error.why, error.help).contains("s3cret"), "{error:?}");
        }
        let odd = [("a.b-c".to_owned(), "x".to_owned())];
        assert_eq!(expand("${env:a.b-c}", &odd).unwrap(), "x", "an unusual name that is set can be used");
    }

    #[test]
    fn only_references_are_replaced() {
        let environment = [("NAME".to_owned(), "x${env:NAME}".to_owned())];
        assert_eq!(expand("a$${b}", &[]).unwrap(), "a${b}");
        assert_eq!(expand("<${env:NAME}>", &environment).unwrap(), "<x${env:NAME}>", "what is put in is not looked at again");
        for (wrong, why) in [
            ("${env:NAME", "without `}`"),
            ("${NAME}", "${env:NAME} or ${file:path}"),
            ("${env:OTHER}", "OTHER is not set"),
            ("${env:}", "`${env:}` names no environment variable"),
            ("${file:}", "`${file:}` names no file"),
            ("${file:/does/not/exist}", "/does/not/exist"),
        ] {
            let error = expand(wrong, &environment).unwrap_err();
            assert!(error.why.contains(why) && !error.help.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn only_small_ordinary_files_of_text_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let expanded = |path: &str| expand(&format!("${{file:{path}}}"), &[]).map_err(|error| error.why);
        assert_eq!(expanded(&file("a", b"s3cret\r\n")).unwrap(), "s3cret");
        for (path, why) in [
            ("/dev/zero", "it is not an ordinary file"),
            (&file("b", &vec![b'x'; (1 << 20) + 1]), "it is larger than 1024 KiB"),
            (&file("c", b"s3cret\xff"), "it is not valid UTF-8"),
        ] {
            let error = expanded(path).unwrap_err();
            assert!(error.ends_with(why) && !error.contains("s3cret"), "{error}");
        }
    }
}
