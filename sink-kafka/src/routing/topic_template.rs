//! The name of a topic, or a template that gives each table its own topic.

use std::fmt::Write as _;

use runtime::TableId;

/// The length of the longest topic name that Kafka allows, in bytes.
const MAX_TOPIC_NAME: usize = 249;

/// The name of a topic, or a template with the placeholders `{database}` and `{table}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Database,
    Table,
}

impl TopicTemplate {
    /// Parses a template. An error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_once('{').map_or((rest, None), |(literal, after)| (literal, Some(after)));
            if let Some(wrong) = literal.chars().find(|&c| !is_topic_character(c)) {
                return Err(format!("`{wrong}` is not allowed in a topic's name, which consists of letters, digits, `.`, `_` and `-`"));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let Some(after) = after else { break };
            let (name, after) = after.split_once('}').ok_or("a `{` without `}`")?;
            pieces.push(match name {
                "database" => Piece::Database,
                "table" => Piece::Table,
                other => return Err(format!("`{{{other}}}` is unknown; there are `{{database}}` and `{{table}}`")),
            });
            rest = after;
        }
        if pieces.is_empty() {
            return Err("a topic's name cannot be empty".into());
        }
        let template = Self { pieces };
        if let Some(name) = template.fixed() {
            check_name(name)?;
        }
        Ok(template)
    }

    /// The name of the topic; `None` if there are placeholders.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(name)] => Some(name),
            _ => None,
        }
    }

    /// Whether the template contains both placeholders.
    pub(crate) fn names_the_table(&self) -> bool {
        self.pieces.contains(&Piece::Database) && self.pieces.contains(&Piece::Table)
    }

    /// The topic of a table. Each byte of a name outside `[A-Za-z0-9._-]` becomes `_` and two hexadecimal digits.
    pub(crate) fn render(&self, table: &TableId) -> Result<String, String> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Database => escape(&mut name, &table.database),
                Piece::Table => escape(&mut name, &table.table),
            }
        }
        check_name(&name)?;
        Ok(name)
    }

    /// Whether `name` could be the topic of a table. It may be true for a name that is not, but it is never false for one that is.
    pub(crate) fn could_be(&self, name: &str) -> bool {
        let mut rest = name;
        let mut anchored = true;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) if anchored => match rest.strip_prefix(text.as_str()) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Piece::Literal(text) => match rest.find(text.as_str()) {
                    Some(at) => {
                        rest = &rest[at + text.len()..];
                        anchored = true;
                    }
                    None => return false,
                },
                Piece::Database | Piece::Table => anchored = false,
            }
        }
        match self.pieces.last() {
            Some(Piece::Literal(text)) => name.ends_with(text.as_str()),
            _ => true,
        }
    }
}

fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn escape(out: &mut String, name: &str) {
    for byte in name.bytes() {
        if is_topic_character(char::from(byte)) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "_{byte:02x}");
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    match name {
        "" => Err("a topic's name cannot be empty".into()),
        "." | ".." => Err(format!("`{name}` is not allowed as a topic's name")),
        _ if name.len() > MAX_TOPIC_NAME => {
            Err(format!("a topic's name has at most {MAX_TOPIC_NAME} characters, `{name}` has {}", name.len()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_a_topic_cannot_have_are_escaped() {
        let template = TopicTemplate::parse("x.{database}-{table}").unwrap();
        assert_eq!(template.render(&TableId::new("a b", "é$")).unwrap(), "x.a_20b-_c3_a9_24");
        assert_eq!(
            TopicTemplate::parse("{table}").unwrap().render(&TableId::new("d", ".")),
            Err("`.` is not allowed as a topic's name".into())
        );
        assert!(TopicTemplate::parse("{table}").unwrap().render(&TableId::new("d", "x".repeat(250))).is_err());
        for wrong in ["", "{", "{table", "a/b", "{schema}", "..", &"x".repeat(250)] {
            assert!(TopicTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_may_hold_the_table_in_full() {
        for (text, expected) in [("shop", false), ("{table}", false), ("{database}", false), ("{database}.{table}", true)] {
            assert_eq!(TopicTemplate::parse(text).unwrap().names_the_table(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn rendered_names_are_legal_and_recognised(database in "\\PC{1,12}", table in "\\PC{1,12}", prefix in "[a-z.]{0,4}", suffix in "[a-z.]{0,4}") {
            let template = TopicTemplate::parse(&format!("{prefix}{{database}}.{{table}}{suffix}")).unwrap();
            let name = template.render(&TableId::new(database, table)).unwrap();
            prop_assert!(name.chars().all(is_topic_character), "{}", name);
            prop_assert!(template.could_be(&name), "{}", name);
        }

        #[test]
        fn any_template_is_read_or_refused(text in "\\PC{0,20}|[{}a-z]{0,12}") {
            if let Ok(template) = TopicTemplate::parse(&text) {
                let _ = template.could_be(&text);
            }
        }
    }
}
