//! The schema of a table after an ALTER TABLE. The clauses are applied together, as the server does: names are looked up in the table as it
//! was, and AFTER in the table as it becomes.

use std::collections::HashSet;

use runtime::{Collation, Column, ColumnKind, KeyPart, TableSchema};

use super::ReadError;
use super::collation::max_bytes;
use super::create::{
    ColumnSpec, KeyDefinition, Keys, OF_GEOMETRY, Place, add_keys, convert, find_column, is_same_column, refuse_many_columns,
};
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
    /// Whether the statement does not define it anew.
    is_kept: bool,
    unstated: bool,
    primary: bool,
    unique: bool,
}

impl Entry {
    fn defined(spec: &ColumnSpec, origin: Option<usize>, default: Option<&Collation>, alter: &Alter) -> Result<Self, ReadError> {
        let read = spec.resolve(default, alter.converts_to.as_ref())?;
        Ok(Self { column: read.column, origin, is_kept: false, unstated: read.unstated, primary: read.primary, unique: read.unique })
    }
}

/// Applies an ALTER TABLE. `unstated` are the columns of which it is only assumed whether they are nullable.
pub(super) fn alter(schema: &TableSchema, unstated: &[usize], alter: &Alter) -> Result<Altered, ReadError> {
    let converts_to = alter.converts_to.as_ref();
    let collation = match &alter.collation {
        Some(named) => Some(named.within(schema.collation.as_ref())?),
        None => converts_to.or(schema.collation.as_ref()).cloned(),
    };
    let mut entries = entries(schema, unstated, alter, collation.as_ref())?;
    if let Some(converts_to) = converts_to {
        for entry in entries.iter_mut().filter(|entry| entry.is_kept) {
            entry.column = convert(&entry.column, converts_to)?;
        }
    }
    let columns = entries.iter().map(|entry| entry.column.clone()).collect();
    let mut altered = TableSchema::new(schema.id.clone(), columns);
    (altered.collation, altered.version) = (collation, schema.version);
    // A key loses the columns that are dropped, unless others of the same names are added.
    let place = |&old: &usize| place_of(&entries, schema, old);
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
    let mut keys = Keys::take(&mut schema.clone());
    for key in &mut keys.0 {
        let part = |part: &KeyPart| match *part {
            KeyPart::Expression => Some(KeyPart::Expression),
            KeyPart::Column { column: old, prefix } => {
                let column = place(&old)?;
                Some(KeyPart::Column { column, prefix: prefix_after(&schema.columns[old], &entries[column], prefix) })
            }
        };
        key.parts = key.parts.iter().filter_map(part).collect();
    }
    keys.put(&mut altered);
    // A column that exists already is not added, nor is its key.
    let is_there = |change: &&KeyChange| match change {
        KeyChange::AddOfColumn(name) => entries.iter().any(|entry| entry.unique && entry.column.name == *name),
        _ => true,
    };
    change_keys(&mut altered, alter.keys.iter().filter(is_there))?;
    let of_periods = alter.not_null.iter().filter_map(|name| find_column(&altered.columns, name));
    let not_null: Vec<usize> = altered.primary_key.iter().copied().chain(of_periods).collect();
    for &column in &not_null {
        altered.columns[column].nullable = false;
    }
    Keys::sort(&mut altered);
    let is_open = |&column: &usize| entries[column].unstated && !not_null.contains(&column);
    let unstated = (0..entries.len()).filter(is_open).collect();
    Ok(Altered { schema: altered, unstated })
}

/// Where the column `old` of a key is in the table as it becomes; `None` if it is dropped.
fn place_of(entries: &[Entry], schema: &TableSchema, old: usize) -> Option<usize> {
    // The server goes by the names, so a new column takes the place of an old one with the same name.
    let is_new = |entry: &Entry| entry.origin.is_none() && entry.column.name.eq_ignore_ascii_case(&schema.columns[old].name);
    entries.iter().position(|entry| entry.origin == Some(old) || is_new(entry))
}

/// The columns of the table as it becomes, in their order.
fn entries(schema: &TableSchema, unstated: &[usize], alter: &Alter, default: Option<&Collation>) -> Result<Vec<Entry>, ReadError> {
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
            Some(Entry { column: column.clone(), origin: Some(index), is_kept: true, unstated, primary: false, unique: false })
        })
        .collect();
    // Columns that are added, and those that get another place, in the order of the clauses.
    let mut placed: Vec<(Option<Entry>, &str, Option<&Place>)> = Vec::new();
    for change in &alter.columns {
        match change {
            ColumnChange::Add { column, if_not_exists } => {
                if !(*if_not_exists && find_column(old, &column.name).is_some()) {
                    placed.push((Some(Entry::defined(column, None, default, alter)?), &column.name, column.place()));
                }
            }
            ColumnChange::Drop { name, if_exists } => {
                if let Some(index) = find(name, *if_exists)? {
                    kept[index] = None;
                }
            }
            ColumnChange::Change { name, column, if_exists } => {
                // MariaDB lets a statement change a column that it has added.
                let is_added = |(entry, other, _): &(Option<Entry>, &str, _)| entry.is_some() && other.eq_ignore_ascii_case(name);
                if find(name, true)?.is_none()
                    && let Some(at) = placed.iter().position(is_added)
                {
                    placed.remove(at);
                    placed.push((Some(Entry::defined(column, None, default, alter)?), &column.name, column.place()));
                    continue;
                }
                let Some(index) = find(name, *if_exists)? else { continue };
                let entry = Entry::defined(column, Some(index), default, alter)?;
                // Until its turn comes, it stands at its old place.
                if let place @ Some(_) = column.place() {
                    placed.push((None, &column.name, place));
                }
                kept[index] = Some(entry);
            }
            ColumnChange::Rename { from, to, if_exists } => {
                if let Some(entry) = find(from, *if_exists)?.and_then(|index| kept[index].as_mut()) {
                    entry.column.name.clone_from(to);
                }
            }
        }
    }
    let mut entries: Vec<Entry> = kept.into_iter().flatten().collect();
    let find = |entries: &[Entry], name: &str| entries.iter().position(|entry| is_same_column(&entry.column.name, name));
    refuse_many_columns(entries.len() + placed.len())?;
    for (entry, name, place) in placed {
        let Some(entry) = entry.or_else(|| find(&entries, name).map(|index| entries.remove(index))) else { continue };
        let at = match place {
            None => entries.len(),
            Some(Place::First) => 0,
            Some(Place::After(name)) => {
                1 + find(&entries, name).ok_or_else(|| ReadError::new(format!("there is no column `{name}` for AFTER")))?
            }
        };
        entries.insert(at, entry);
    }
    let mut names = HashSet::new();
    for entry in &entries {
        if !names.insert(entry.column.name.to_lowercase()) {
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
fn prefix_after(old: &Column, new: &Entry, prefix: Option<u32>) -> Option<u32> {
    let (length, is_geometry) = match new.column.kind {
        ColumnKind::Char { length } | ColumnKind::Varchar { length } => (length, false),
        ColumnKind::Binary { length } | ColumnKind::Varbinary { length } => (length, false),
        ColumnKind::Text { .. } | ColumnKind::Blob { .. } => (u32::MAX, false),
        ColumnKind::Geometry => (u32::MAX, true),
        _ => return None,
    };
    let kept = prefix.or_else(|| {
        if new.origin.is_none() {
            return stored_length(&old.kind);
        }
        let (bytes, characters) = stored_labels(&old.kind)?;
        let width = old.charset().and_then(max_bytes).unwrap_or(1);
        (characters * width != bytes).then_some(bytes / width)
    });
    kept.filter(|&kept| kept > 0 && kept < length).or(is_geometry.then_some(OF_GEOMETRY))
}

/// The length of a key's part over a whole column: characters or bytes.
fn stored_length(kind: &ColumnKind) -> Option<u32> {
    let fraction = |fsp: u8| u32::from(fsp.div_ceil(2));
    Some(match *kind {
        ColumnKind::Int { bytes } => bytes.into(),
        ColumnKind::Float => 4,
        ColumnKind::Double => 8,
        ColumnKind::Bit { bits } => bits.div_ceil(8).into(),
        ColumnKind::Year => 1,
        ColumnKind::Date => 3,
        ColumnKind::Time { fsp } => 3 + fraction(fsp),
        ColumnKind::DateTime { fsp } => 5 + fraction(fsp),
        ColumnKind::Timestamp { fsp } => 4 + fraction(fsp),
        ColumnKind::Decimal { precision, scale } => {
            let bytes = |digits: u8| u32::from(digits / 9) * 4 + u32::from((digits % 9).div_ceil(2));
            bytes(precision - scale) + bytes(scale)
        }
        ColumnKind::Char { length } | ColumnKind::Varchar { length } => length,
        ColumnKind::Binary { length } | ColumnKind::Varbinary { length } => length,
        ref labels => stored_labels(labels)?.0,
    })
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

/// Applies the changes of keys. Keys are dropped and renamed before others are added.
pub(super) fn change_keys<'a>(schema: &mut TableSchema, changes: impl Iterator<Item = &'a KeyChange> + Clone) -> Result<(), ReadError> {
    let mut keys = Keys::take(schema);
    for change in changes.clone() {
        match change {
            // If no key has this name, the name belongs to an index whose form could not be read.
            KeyChange::Drop(name) => keys.0.retain(|key| !key.name.eq_ignore_ascii_case(name)),
            KeyChange::Rename(from, to) => {
                if let Some(key) = keys.0.iter_mut().find(|key| key.name.eq_ignore_ascii_case(from)) {
                    key.name.clone_from(to);
                }
            }
            KeyChange::Add(_) | KeyChange::AddOfColumn(_) => {}
        }
    }
    keys.put(schema);
    let added: Vec<KeyDefinition> = changes
        .filter_map(|change| match change {
            KeyChange::Add(key) => Some(key.clone()),
            KeyChange::AddOfColumn(name) => Some(KeyDefinition::of_column(name)),
            KeyChange::Drop(_) | KeyChange::Rename(..) => None,
        })
        .collect();
    add_keys(schema, &added)
}
