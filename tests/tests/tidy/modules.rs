//! The modules of a crate: which file imports from which others, and which files have an `impl` of which type.
//!
//! The sources are read without a real parser, which is enough for formatted code. Comments, string literals and tests are removed, and
//! names are resolved through `use`. A `pub use` counts as an import only if the file itself uses the name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The segments of a path such as `crate::api::Error`, or the location of a module in its crate; empty for the crate's root.
type Names = Vec<String>;

/// The modules of a crate, without its tests.
pub(crate) struct Crate {
    modules: BTreeMap<Names, Module>,
}

#[derive(Default)]
struct Module {
    file: String,
    /// The names that `use` declares, each with its path.
    uses: BTreeMap<String, Names>,
    globs: Vec<Names>,
    /// All paths in the code, except those of `pub use`.
    paths: BTreeSet<Names>,
    /// The names of the items that the module defines.
    items: BTreeSet<String>,
    /// The paths of types that have an inherent `impl` in the module.
    implemented: BTreeSet<Names>,
}

impl Crate {
    /// Reads the sources in the folder `src` of a crate.
    pub(crate) fn read(src: &Path) -> Self {
        let mut modules = BTreeMap::new();
        read(&src.join("lib.rs"), src, Vec::new(), &mut modules);
        Self { modules }
    }

    /// Groups of files in which each file imports from every other file, directly or indirectly.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let targets = |name: &Names| -> BTreeSet<Names> {
            let found = self.modules[name].paths.iter().filter_map(|path| self.find(name, path, 0));
            found.map(|(module, _)| module).filter(|module| module != name).collect()
        };
        let imports: BTreeMap<&Names, BTreeSet<Names>> = self.modules.keys().map(|name| (name, targets(name))).collect();
        let reach = |from: &Names| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(name) = next.pop() {
                next.extend(imports[&name].iter().filter(|target| seen.insert((*target).clone())).cloned());
            }
            seen
        };
        let reached: BTreeMap<&Names, BTreeSet<Names>> = self.modules.keys().map(|name| (name, reach(name))).collect();
        let circle = |name: &Names| -> Vec<&str> {
            let mutual = reached[name].iter().filter(|other| reached[other].contains(name));
            mutual.map(|other| self.modules[other].file.as_str()).collect()
        };
        self.modules.keys().map(circle).filter(|files| !files.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// For each type of the crate, the files that have an inherent `impl` of it.
    pub(crate) fn implementations(&self) -> BTreeMap<String, BTreeSet<&str>> {
        let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (name, module) in &self.modules {
            for implemented in &module.implemented {
                let (owner, item) = self.find(name, implemented, 0).unwrap_or((name.clone(), implemented.last().cloned()));
                let full = owner.into_iter().chain(item).collect::<Vec<_>>().join("::");
                found.entry(full).or_default().insert(&module.file);
            }
        }
        found
    }

    /// Resolves a path that is written in the module `from`: returns the module that defines the item, and the name of the item. The name
    /// is `None` if the path leads to the module itself. For names of other crates the result is `None`.
    fn find(&self, from: &Names, path: &[String], depth: usize) -> Option<(Names, Option<String>)> {
        let (first, rest) = path.split_first()?;
        // This limit protects against `use` declarations that refer to one another.
        if depth > 20 {
            return None;
        }
        match first.as_str() {
            "crate" => self.descend(Vec::new(), rest, depth),
            "self" => self.descend(from.clone(), rest, depth),
            "super" => {
                let parent = from.split_last()?.1.to_vec();
                let again: Names = std::iter::once("self".to_owned()).chain(rest.iter().cloned()).collect();
                let again = if rest.first().is_some_and(|name| name == "super") { rest.to_vec() } else { again };
                self.find(&parent, &again, depth + 1)
            }
            _ => self.descend(from.clone(), path, depth),
        }
    }

    fn descend(&self, mut module: Names, mut rest: &[String], depth: usize) -> Option<(Names, Option<String>)> {
        while let Some((name, after)) = rest.split_first() {
            let child: Names = module.iter().cloned().chain([name.clone()]).collect();
            let here = self.modules.get(&module)?;
            if self.modules.contains_key(&child) {
                (module, rest) = (child, after);
            } else if here.items.contains(name) {
                return Some((module, Some(name.clone())));
            } else if let Some(path) = here.uses.get(name).filter(|path| path.as_slice() != [name.clone()]) {
                let path: Names = path.iter().chain(after).cloned().collect();
                return self.find(&module, &path, depth + 1);
            } else {
                let through = |glob: &Names| self.find(&module, &glob.iter().chain(rest).cloned().collect::<Vec<_>>(), depth + 1);
                return here.globs.iter().find_map(through);
            }
        }
        Some((module, None))
    }
}

fn read(file: &Path, src: &Path, name: Names, modules: &mut BTreeMap<Names, Module>) {
    let code = without_tests(&without_literals(&fs::read_to_string(file).unwrap()));
    let mut module = Module { file: file.strip_prefix(src).unwrap().display().to_string(), ..Module::default() };
    let tokens = tokens(&code);
    let mut at = 0;
    let mut public = false;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1).copied().unwrap_or_default();
        match *token {
            "use" => {
                let end = tokens[at..].iter().position(|token| *token == ";").map_or(tokens.len(), |length| at + length);
                for (path, renamed) in use_tree(&tokens[at + 1..end], &mut 0, &[]) {
                    if !public {
                        module.paths.insert(path.iter().filter(|name| *name != "*").cloned().collect());
                    }
                    match renamed.as_str() {
                        "*" => module.globs.push(path[..path.len() - 1].to_vec()),
                        _ => drop(module.uses.insert(renamed, path)),
                    }
                }
                at = end;
            }
            "mod" if tokens.get(at + 2) == Some(&";") => {
                let folder = file.parent().unwrap();
                let own =
                    if ["lib.rs", "mod.rs"].iter().any(|name| file.ends_with(name)) { folder.to_owned() } else { file.with_extension("") };
                let files = [own.join(format!("{next}.rs")), own.join(next).join("mod.rs")];
                let child: Names = name.iter().cloned().chain([next.to_owned()]).collect();
                files.iter().filter(|file| file.is_file()).for_each(|file| read(file, src, child.clone(), modules));
                at += 2;
            }
            // This condition excludes `impl Trait` in the type of an argument or a result.
            "impl" if at == 0 || ["}", ";", "]", "{", "unsafe"].contains(&tokens[at - 1]) => {
                let end = tokens[at..].iter().position(|token| *token == "{" || *token == ";").map_or(tokens.len(), |length| at + length);
                let header = &tokens[at + 1..end];
                let bounds = header.iter().position(|token| *token == "where").unwrap_or(header.len());
                let header = after_generics(&header[..bounds]);
                let of_trait = header.windows(2).any(|pair| pair[0] == "for" && pair[1] != "<");
                let length = header.iter().take_while(|token| is_name(token) || **token == "::").count();
                let path: Names = header[..length].iter().filter(|token| is_name(token)).map(|name| (*name).to_owned()).collect();
                if !path.is_empty() && !of_trait {
                    module.implemented.insert(path);
                }
            }
            // `pub(in crate::a)` names a module but does not import from it.
            "pub" if next == "(" => {
                public = true;
                at += tokens[at..].iter().position(|token| *token == ")").map_or(0, |length| length + 1);
                continue;
            }
            "struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" | "union" if is_name(next) => {
                module.items.insert(next.to_owned());
            }
            "macro_rules" => drop(module.items.insert(tokens.get(at + 2).copied().unwrap_or_default().to_owned())),
            _ if is_name(token) && (at == 0 || tokens[at - 1] != "::") => {
                let mut path = vec![(*token).to_owned()];
                while tokens.get(at + 1) == Some(&"::") && tokens.get(at + 2).is_some_and(|name| is_name(name)) {
                    path.push(tokens[at + 2].to_owned());
                    at += 2;
                }
                // A single name in lower case is usually a variable, so it is not counted as a path.
                if path.len() > 1 || path[0].starts_with(char::is_uppercase) {
                    module.paths.insert(path);
                }
            }
            _ => {}
        }
        public = *token == "pub";
        at += 1;
    }
    modules.insert(name, module);
}

/// The paths of a `use` declaration, each with the name that it declares.
fn use_tree(tokens: &[&str], at: &mut usize, prefix: &[String]) -> Vec<(Names, String)> {
    let (mut found, mut path) = (Vec::new(), prefix.to_vec());
    let mut name = None;
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match *token {
            "{" => {
                while tokens.get(*at).is_some_and(|token| *token != "}") {
                    found.extend(use_tree(tokens, at, &path));
                }
                *at += 1;
                name = None;
            }
            "}" => {
                *at -= 1;
                break;
            }
            "," => break,
            "::" => {}
            "as" => {
                name = tokens.get(*at).map(|name| (*name).to_owned());
                *at += 1;
            }
            "self" if !prefix.is_empty() => name = path.last().cloned(),
            other => {
                path.push(other.to_owned());
                name = Some(other.to_owned());
            }
        }
    }
    found.extend(name.map(|name| (path, name)));
    found
}

/// The header of an `impl` without the generic parameters at its beginning.
fn after_generics<'a, 'b>(header: &'b [&'a str]) -> &'b [&'a str] {
    let mut depth = 0_i32;
    for (index, token) in header.iter().enumerate() {
        match *token {
            "<" => depth += 1,
            ">" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if *token == ">" { &header[index + 1..] } else { header };
        }
    }
    header
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits code into names and punctuation characters; `::` is a single token.
fn tokens(code: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") || rest.starts_with("->") || rest.starts_with("=>") {
            2
        } else {
            first.len_utf8()
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

/// The code without comments, string literals and character literals.
fn without_literals(code: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(code.len()), code);
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) = raw_text(rest) {
            raw
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            quoted(rest, '\'')
        } else {
            0
        };
        if skip == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.push(' ');
            rest = &rest[skip..];
        }
    }
    out
}

/// The length of the raw string literal, such as `r#"…"#`, with which `rest` begins; `None` if it begins with something else.
fn raw_text(rest: &str) -> Option<usize> {
    let hashes = rest.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    let body = rest[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map(|at| 2 + hashes + at + end.len())
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The code without items that are compiled only for tests.
fn without_tests(code: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(code.len()), code);
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let mut depth = 0;
        let end = item.char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(c, '}' | ';')
        });
        rest = end.map_or("", |(end, _)| &item[end + 1..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(files: &[(&str, &str)]) -> Crate {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        }
        Crate::read(folder.path())
    }

    #[test]
    fn circles_are_found_through_reexports() {
        let found = example(&[
            ("lib.rs", "mod a; mod b; mod c; mod d; pub use b::B;"),
            ("a.rs", "use crate::B; // use crate::d::D\n pub struct A(B);"),
            ("b/mod.rs", "mod inner; pub use inner::B;"),
            ("b/inner.rs", "use crate::c::{self, C as Other}; pub struct B(Other); fn f() { c::g(); }"),
            ("c.rs", "use super::a::A; pub struct C(A); pub fn g() {} #[cfg(test)] mod tests { use crate::d::D; }"),
            ("d.rs", "use crate::{a::A, c::C}; pub struct D(A, C); const T: &str = \"crate::a\";"),
        ]);
        assert_eq!(found.circles(), [["a.rs", "b/inner.rs", "c.rs"]]);
    }

    #[test]
    fn implementations_are_counted_by_type_and_not_by_name() {
        let found = example(&[
            ("lib.rs", "mod a; mod b; mod c; pub struct T<'a>(&'a u8); impl<'a> T<'a> {}"),
            ("a.rs", "use crate::T; impl T<'_> {} impl Clone for T<'_> {}"),
            ("b.rs", "struct T; impl T {} impl<F: for<'a> Fn(&'a u8)> From<F> for T {}"),
            ("c.rs", "use crate::T as Other; impl super::T<'_> {} impl Other<'_> {}"),
        ]);
        let counts: Vec<_> = found.implementations().into_iter().map(|(name, files)| (name, files.len())).collect();
        assert_eq!(counts, [("T".to_owned(), 3), ("b::T".to_owned(), 1)]);
    }
}
