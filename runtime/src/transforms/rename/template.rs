//! The target of a pattern, in which groups of the match stand in braces.

use regex::{Captures, Regex};

/// A text with places for the groups of a match.
#[derive(Debug)]
pub(super) struct Template(Vec<Segment>);

#[derive(Debug)]
enum Segment {
    Text(String),
    Group(usize),
}

impl Template {
    /// Reads a text such as `shop_{1}`. `{0}` is the whole match, `{name}` a named group. Fails if the expression has no such group, or if
    /// the text is empty; the error is a sentence without a subject.
    pub(super) fn parse(text: &str, regex: &Regex) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or_else(|| format!("{text:?} has a brace that is not closed"))?;
            let number = match name.parse::<usize>() {
                Ok(number) => Some(number).filter(|number| *number < regex.captures_len()),
                Err(_) => regex.capture_names().position(|known| known == Some(name)),
            };
            let group = number.ok_or_else(|| format!("the expression has no group {{{name}}}, which {text:?} names"))?;
            segments.extend([Segment::Text(before.to_owned()), Segment::Group(group)]);
            rest = after;
        }
        if rest.contains('}') {
            return Err(format!("{text:?} has a closing brace without an opening one"));
        }
        segments.push(Segment::Text(rest.to_owned()));
        segments.retain(|segment| !matches!(segment, Segment::Text(text) if text.is_empty()));
        if segments.is_empty() { Err("a name is empty".to_owned()) } else { Ok(Self(segments)) }
    }

    /// The text for a match. A group that has taken no part in the match is empty.
    pub(super) fn fill(&self, groups: &Captures<'_>) -> String {
        let text = |segment: &Segment| match segment {
            Segment::Text(text) => text.clone(),
            Segment::Group(group) => groups.get(*group).map_or(String::new(), |group| group.as_str().to_owned()),
        };
        self.0.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(expression: &str, template: &str, name: &str) -> Result<String, String> {
        let regex = Regex::new(expression).unwrap();
        Ok(Template::parse(template, &regex)?.fill(&regex.captures(name).unwrap()))
    }

    #[test]
    fn groups_are_filled_in() {
        assert_eq!(fill("(a)(?<two>b)?", "x{1}{two}{0}y", "ab").unwrap(), "xababy");
        assert_eq!(fill("(a)(?<two>b)?", "{2}.{1}", "a").unwrap(), ".a");
    }

    #[test]
    fn wrong_templates_are_refused() {
        for (template, said) in [
            ("{2}", "no group {2}"),
            ("{x}", "no group {x}"),
            ("{}", "no group {}"),
            ("a{1", "not closed"),
            ("a}", "without an opening"),
            ("", "empty"),
        ] {
            let error = fill("(a)", template, "a").unwrap_err();
            assert!(error.contains(said), "{template}: {error}");
        }
    }
}
