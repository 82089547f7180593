//! The text of a golden file: a section for each type with its four kinds of messages, and a line for each value.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use tests::{Failure, Result};

use super::piece::{Cell, Op, Piece};
use super::types::TypeCase;

/// Renders the messages of all types. Fails if a message is missing or repeated, if messages of one kind differ in more than their
/// values, or if a value is not written in the same way in all places: snapshot, insert, both images of an update, and delete.
pub(super) fn render(cases: &[TypeCase], pieces: &[Piece]) -> Result<String> {
    let mut by_table: BTreeMap<&str, Vec<&Piece>> = BTreeMap::new();
    for piece in pieces {
        by_table.entry(&piece.table).or_default().push(piece);
    }
    let (mut page, mut wrong) = (String::new(), Vec::new());
    for case in cases {
        let pieces = by_table.remove(case.name.as_str()).unwrap_or_default();
        match section(case, &pieces) {
            Ok(text) => page.push_str(&text),
            Err(error) => wrong.push(error.context(&case.name).to_string()),
        }
    }
    wrong.extend(by_table.keys().map(|table| format!("messages of a table {table} that no case has")));
    if wrong.is_empty() { Ok(page) } else { Failure::err(wrong.join("\n")) }
}

fn section(case: &TypeCase, pieces: &[&Piece]) -> Result<String> {
    let mut page = format!("\n== {} {}\n", case.name, case.definition);
    let mut of_op = BTreeMap::new();
    for op in Op::ALL {
        let mut rows: Vec<&Piece> = pieces.iter().copied().filter(|piece| piece.op == op).collect();
        rows.sort_by_key(|piece| piece.id);
        if rows.len() != case.literals.len() || rows.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Failure::err(format!("{} messages of kind {} for {} rows", rows.len(), op.name(), case.literals.len()));
        }
        let shape = &rows[0].shape;
        if let Some(other) = rows.iter().find(|piece| piece.shape != *shape) {
            return Failure::err(format!("messages of kind {} differ in more than their values:\n  {shape}\n  {}", op.name(), other.shape));
        }
        writeln!(page, "{}: {shape}", op.name())?;
        of_op.insert(op, rows);
    }
    for (number, literal) in case.literals.iter().enumerate() {
        let cell = one_text(case, number, &of_op).map_err(|error| error.context(literal))?;
        let note = if cell.note.is_empty() { String::new() } else { format!("   ({})", cell.note) };
        writeln!(page, "  {literal}  =>  {}{note}", cell.text)?;
    }
    Ok(page)
}

/// The text of a literal, which must be the same in all five places. The update changes every row to the next literal in the list.
fn one_text(case: &TypeCase, number: usize, of_op: &BTreeMap<Op, Vec<&Piece>>) -> Result<Cell> {
    let count = case.literals.len();
    let before = (number + count - 1) % count;
    let places = [
        ("read by the snapshot", of_op[&Op::Snapshot][number].after.as_ref()),
        ("inserted", of_op[&Op::Insert][number].after.as_ref()),
        ("before an update", of_op[&Op::Update][number].before.as_ref()),
        ("after an update", of_op[&Op::Update][before].after.as_ref()),
        ("deleted", of_op[&Op::Delete][before].before.as_ref()),
    ];
    let mut first: Option<&Cell> = None;
    for (place, cell) in places {
        let cell = cell.ok_or_else(|| Failure::new(format!("no value {place}")))?;
        let known = first.get_or_insert(cell);
        if known.text != cell.text || (!cell.note.is_empty() && known.note != cell.note) {
            return Failure::err(format!("{} {} in the snapshot, but {} {} {place}", known.text, known.note, cell.text, cell.note));
        }
    }
    first.cloned().ok_or_else(|| Failure::new("no value"))
}

fn path(server: &str, format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/values").join(server).join(format!("{format}.txt"))
}

/// Compares a page with its file; if `UPDATE_GOLDEN=1` is set, rewrites the file.
pub(super) fn compare(server: &str, format: &str, page: &str) -> Result<()> {
    let path = path(server, format);
    let page = format!("Values of {server} in {format}. `…` stands for the value, and for what differs from run to run.\n{page}");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        return Ok(std::fs::write(&path, page)?);
    }
    let kept = std::fs::read_to_string(&path).map_err(|error| Failure::from(error).context(path.display()))?;
    if kept == page {
        return Ok(());
    }
    let number = kept.lines().zip(page.lines()).take_while(|(kept, found)| kept == found).count();
    let section = page.lines().take(number + 1).filter(|line| line.starts_with("==")).last().unwrap_or_default();
    let line = |text: &str| text.lines().nth(number).unwrap_or("the end").to_owned();
    Failure::err(format!(
        "{} line {}, in {section}\n  kept:  {}\n  found: {}\nIf the new text is right: UPDATE_GOLDEN=1",
        path.display(),
        number + 1,
        line(&kept),
        line(page.as_str()),
    ))
}
