//! Breaks a JSON text into lines without changing anything but the space between its parts.

use serde::de::IgnoredAny;

const INDENT: usize = 2;

/// The lines of a text. Whatever of a JSON text fits into `width` characters is one line; of what does not, each member is a line of its own, if
/// possible. Any other text is broken at its own line breaks.
pub(super) fn lines(text: &str, width: usize) -> Vec<String> {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return text.lines().map(str::to_owned).collect();
    }
    let mut lines = Vec::new();
    write(text.trim(), 0, width, &mut lines);
    lines
}

/// Writes a value, which may have its key in front of it and a comma behind it.
fn write(text: &str, indent: usize, width: usize, lines: &mut Vec<String>) {
    let margin = " ".repeat(indent);
    let broken = || {
        if indent + text.chars().count() <= width {
            return None;
        }
        let (body, comma) = text.strip_suffix(',').map_or((text, ""), |body| (body, ","));
        let close = body.chars().next_back().filter(|c| matches!(c, '}' | ']'))?;
        let open = outside_texts(body).find(|(_, c)| matches!(c, '{' | '['))?.0;
        let inner = body.get(open + 1..body.len() - 1).filter(|inner| !inner.trim().is_empty())?;
        Some((body.get(..=open)?, inner, format!("{close}{comma}")))
    };
    let Some((open, inner, close)) = broken() else {
        lines.push(format!("{margin}{text}"));
        return;
    };
    lines.push(format!("{margin}{open}"));
    members(inner).for_each(|member| write(member.trim(), indent + INDENT, width, lines));
    lines.push(format!("{margin}{close}"));
}

/// The members of an object or an array, with the commas behind them.
fn members(inner: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut from, mut parts) = (0u32, 0, Vec::new());
    for (at, c) in outside_texts(inner) {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(inner.get(from..=at));
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(inner.get(from..));
    parts.into_iter()
}

/// The characters of a JSON text that are not inside of its strings, with their places.
fn outside_texts(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut is_text, mut is_escaped) = (false, false);
    text.char_indices().filter(move |(_, c)| {
        let was_text = is_text;
        match (is_text, is_escaped, c) {
            (true, true, _) => is_escaped = false,
            (true, false, '\\') => is_escaped = true,
            (_, _, '"') => is_text = !is_text,
            _ => {}
        }
        !was_text && !is_text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_stays_on_one_line() {
        let text = r#"{"data":[{"id":"1","note":"a, {b} \"c\" ["}],"old":null}"#;
        assert_eq!(lines(text, 200), [text]);
        assert_eq!(lines(text, 40), ["{", r#"  "data":["#, r#"    {"id":"1","note":"a, {b} \"c\" ["}"#, "  ],", r#"  "old":null"#, "}"]);
        assert_eq!(
            lines(text, 30),
            [
                "{",
                r#"  "data":["#,
                r#"    {"#,
                r#"      "id":"1","#,
                r#"      "note":"a, {b} \"c\" [""#,
                "    }",
                "  ],",
                r#"  "old":null"#,
                "}"
            ]
        );
        assert_eq!(lines("plain\ntext", 3), ["plain", "text"]);
        assert_eq!(lines("[]", 1), ["[]"]);
    }

    proptest! {
        #[test]
        fn nothing_but_space_changes(keys in proptest::collection::vec("\\PC{0,8}", 0..5), text in "(\\PC|[\"\\\\{}\\[\\],:\n]){0,20}", width in 0usize..60) {
            let values: Vec<serde_json::Value> = keys.iter().map(|key| serde_json::json!({ key: [text, 1.5, null, {"a": {}}] })).collect();
            let json = serde_json::Value::Array(values);
            let joined = lines(&json.to_string(), width).join("\n");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&joined).unwrap(), json);
        }
    }
}
