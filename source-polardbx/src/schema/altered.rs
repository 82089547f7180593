//! The schema of a table after an ALTER TABLE. The clauses are applied together, as the server does: names are looked up in the table as it
//! was, and AFTER in the table as it becomes.

use runtime::{Column, ColumnKind, KeyPart, TableSchema};

use super::ReadError;
use super::charset::max_bytes;
use super::create::{ColumnSpec, KeyDefinition, Keys, Place, add_key, convert, find_column};
use super::statement::{Alter, ColumnChange, KeyChange};

/// A schema, and the columns of which it is only assumed whether they are nullable.
pub(super) struct Altered {
    pub(super) schema: TableSchema,
    pub(super) unstated: Vec<usize>,
}

/// A column of the table as it becomes.
struct Entry {
    column: Column,
    /// Its index in the table as it was; `None` for a new column.
    origin: Option<usize>,
    unstated: bool,
    primary: bool,
    unique: bool,
}

impl Entry {
    fn defined(spec: &ColumnSpec, origin: Option<usize>, charset: Option<&str>) -> Result<Self, ReadError> {
        let read = spec.resolve(charset)?;
        Ok(Self { column: read.column, origin, unstated: read.unstated, primary: read.primary, unique: read.unique })
    }
}

/// Applies an ALTER TABLE. `unstated` are the columns of which it is only assumed whether they are nullable.
pub(super) fn alter(schema: &TableSchema, unstated: &[usize], alter: &Alter) -> Result<Altered, ReadError> {
    let charset = alter.charset.clone().or_else(|| schema.charset.clone());
    let mut entries = entries(schema, unstated, alter, charset.as_deref())?;
    if let (true, Some(charset)) = (alter.converts, &charset) {
        for entry in &mut entries {
            entry.column = convert(&entry.column, charset)?;
        }
    }
    let columns = entries.iter().map(|entry| entry.column.clone()).collect();
    let mut altered = TableSchema::new(schema.id.clone(), columns);
    (altered.charset, altered.version) = (charset, schema.version);
    // A key loses the columns that are dropped.
    let place = |&old: &usize| entries.iter().position(|entry| entry.origin == Some(old));
    altered.partition_columns = schema.partition_columns.iter().filter_map(place).collect();
    if !alter.drops_primary_key {
        altered.primary_key = schema.primary_key.iter().filter_map(place).collect();
    }
    if let Some(column) = entries.iter().position(|entry| entry.primary) {
        altered.primary_key = vec![column];
    }
    if let Some(names) = &alter.primary_key {
        let column = |name: &String| {
            let missing = || ReadError::new(format!("the primary key names `{name}`, which is not a column"));
            find_column(&altered.columns, name).ok_or_else(missing)
        };
        altered.primary_key = names.iter().map(column).collect::<Result<_, _>>()?;
    }
    for &column in &altered.primary_key {
        altered.columns[column].nullable = false;
    }
    let mut keys = Keys::take(&mut schema.clone());
    for key in &mut keys.0 {
        let part = |part: &KeyPart| match *part {
            KeyPart::Expression => Some(KeyPart::Expression),
            KeyPart::Column { column: old, prefix } => {
                let column = place(&old)?;
                Some(KeyPart::Column { column, prefix: prefix_after(&schema.columns[old], &entries[column].column, prefix) })
            }
        };
        key.parts = key.parts.iter().filter_map(part).collect();
    }
    keys.put(&mut altered);
    // Keys are dropped and renamed before others are added.
    for change in alter.keys.iter().filter(|change| !matches!(change, KeyChange::Add(_))) {
        change_key(&mut altered, change)?;
    }
    for entry in entries.iter().filter(|entry| entry.unique) {
        add_key(&mut altered, &KeyDefinition::of_column(&entry.column.name))?;
    }
    for change in alter.keys.iter().filter(|change| matches!(change, KeyChange::Add(_))) {
        change_key(&mut altered, change)?;
    }
    let is_open = |&column: &usize| entries[column].unstated && !altered.primary_key.contains(&column);
    let unstated = (0..entries.len()).filter(is_open).collect();
    Ok(Altered { schema: altered, unstated })
}

/// The columns of the table as it becomes, in their order.
fn entries(schema: &TableSchema, unstated: &[usize], alter: &Alter, charset: Option<&str>) -> Result<Vec<Entry>, ReadError> {
    let old = &schema.columns;
    let find = |name: &str, if_exists: bool| match find_column(old, name) {
        None if !if_exists => Err(ReadError::new(format!("the table has no column `{name}`"))),
        found => Ok(found),
    };
    let mut kept: Vec<Option<Entry>> = old
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let unstated = unstated.contains(&index);
            Some(Entry { column: column.clone(), origin: Some(index), unstated, primary: false, unique: false })
        })
        .collect();
    // Columns that are added, and those that get another place, in the order of the clauses.
    let mut placed: Vec<(Entry, Option<&Place>)> = Vec::new();
    for change in &alter.columns {
        match change {
            ColumnChange::Add { column, if_not_exists } => {
                if !(*if_not_exists && find_column(old, &column.name).is_some()) {
                    placed.push((Entry::defined(column, None, charset)?, column.place()));
                }
            }
            ColumnChange::Drop { name, if_exists } => {
                if let Some(index) = find(name, *if_exists)? {
                    kept[index] = None;
                }
            }
            ColumnChange::Change { name, column, if_exists } => {
                let Some(index) = find(name, *if_exists)? else { continue };
                let entry = Entry::defined(column, Some(index), charset)?;
                match column.place() {
                    None => kept[index] = Some(entry),
                    place => {
                        kept[index] = None;
                        placed.push((entry, place));
                    }
                }
            }
            ColumnChange::Rename { from, to, if_exists } => {
                if let Some(entry) = find(from, *if_exists)?.and_then(|index| kept[index].as_mut()) {
                    entry.column.name.clone_from(to);
                }
            }
        }
    }
    let mut entries: Vec<Entry> = kept.into_iter().flatten().collect();
    for (entry, place) in placed {
        let at = match place {
            None => entries.len(),
            Some(Place::First) => 0,
            Some(Place::After(name)) => {
                let same = |other: &Entry| other.column.name.to_lowercase() == name.to_lowercase();
                1 + entries.iter().position(same).ok_or_else(|| ReadError::new(format!("there is no column `{name}` for AFTER")))?
            }
        };
        entries.insert(at, entry);
    }
    for (index, entry) in entries.iter().enumerate() {
        let name = entry.column.name.to_lowercase();
        if entries[..index].iter().any(|other| other.column.name.to_lowercase() == name) {
            return Err(ReadError::new(format!("two columns called `{}`", entry.column.name)));
        }
    }
    if entries.is_empty() {
        return Err(ReadError::new("the statement leaves no column"));
    }
    Ok(entries)
}

/// The prefix that a key covers of a column after the column has changed. The server keeps the number of characters, as long as only a part
/// of the column can be covered. Where the key covered a whole ENUM or SET, this number is the length of the stored number, unless the text
/// of the labels has just that length. A key over a geometry always covers a prefix.
fn prefix_after(old: &Column, new: &Column, prefix: Option<u32>) -> Option<u32> {
    const OF_GEOMETRY: u32 = 25;
    let (length, is_geometry) = match new.kind {
        ColumnKind::Char { length } | ColumnKind::Varchar { length } => (length, false),
        ColumnKind::Binary { length } | ColumnKind::Varbinary { length } => (length, false),
        ColumnKind::Text { .. } | ColumnKind::Blob { .. } => (u32::MAX, false),
        ColumnKind::Geometry => (u32::MAX, true),
        _ => return None,
    };
    let kept = prefix.or_else(|| {
        let (bytes, characters) = stored_labels(&old.kind)?;
        let width = old.charset.as_deref().and_then(max_bytes).unwrap_or(1);
        (characters * width != bytes).then_some(bytes / width)
    });
    kept.filter(|&kept| kept > 0 && kept < length).or(is_geometry.then_some(OF_GEOMETRY))
}

/// The length of the number that is stored for an ENUM or SET in bytes, and the length of its longest text in characters.
fn stored_labels(kind: &ColumnKind) -> Option<(u32, u32)> {
    let characters = |label: &String| u32::try_from(label.chars().count()).unwrap_or(u32::MAX);
    match kind {
        ColumnKind::Enum { labels } => {
            Some((if labels.len() < 256 { 1 } else { 2 }, labels.iter().map(characters).max().unwrap_or_default()))
        }
        ColumnKind::Set { labels } => {
            let bytes = match labels.len().div_ceil(8) {
                bytes @ 0..=4 => u32::try_from(bytes).unwrap_or_default(),
                _ => 8,
            };
            Some((bytes, labels.iter().map(|label| characters(label).saturating_add(1)).sum::<u32>().saturating_sub(1)))
        }
        _ => None,
    }
}

/// Applies the change of one key.
pub(super) fn change_key(schema: &mut TableSchema, change: &KeyChange) -> Result<(), ReadError> {
    let mut keys = match change {
        KeyChange::Add(key) => return add_key(schema, key),
        KeyChange::Drop(_) | KeyChange::Rename(..) => Keys::take(schema),
    };
    match change {
        // If no key has this name, the name belongs to an index whose form could not be read.
        KeyChange::Drop(name) => keys.0.retain(|key| !key.name.eq_ignore_ascii_case(name)),
        KeyChange::Rename(from, to) => {
            if let Some(key) = keys.0.iter_mut().find(|key| key.name.eq_ignore_ascii_case(from)) {
                key.name.clone_from(to);
            }
        }
        KeyChange::Add(_) => {}
    }
    keys.put(schema);
    Ok(())
}
