//! Reads the clauses of ALTER TABLE.

use runtime::{SchemaChangeKind, TableId};

use super::ReadError;
use super::collation::{CollationOptions, Conversion};
use super::create::{ColumnSpec, StatementContext, read_index, read_key, read_partition_clause, take_index_words, take_unique_words};
use super::cursor::Cursor;
use super::lexer::Token;
use super::statement::{Alter, Change, ColumnChange, Effect, KeyChange};

/// First words of clauses that change neither columns nor keys.
const OPTIONS: &[&str] = &[
    "ALGORITHM",
    "AUTO_INCREMENT",
    "AUTOEXTEND_SIZE",
    "AVG_ROW_LENGTH",
    "BROADCAST",
    "CHARACTER",
    "CHARSET",
    "CHECKSUM",
    "CLEANUP",
    "COLLATE",
    "COMMENT",
    "COMPRESSION",
    "CONNECTION",
    "DATA",
    "DEFAULT",
    "DELAY_KEY_WRITE",
    "DISABLE",
    "ENABLE",
    "ENCRYPTION",
    "ENGINE",
    "EXPIRE",
    "FORCE",
    "INDEX",
    "INSERT_METHOD",
    "JOINGROUP",
    "KEY_BLOCK_SIZE",
    "LOCAL",
    "LOCALITY",
    "LOCK",
    "MAX_ROWS",
    "MIN_ROWS",
    "ORDER",
    "PACK_KEYS",
    "PAGE_CHECKSUM",
    "PARTITION",
    "PARTITIONS",
    "PASSWORD",
    "REMOVE",
    "ROW_FORMAT",
    "SECONDARY_LOAD",
    "SECONDARY_UNLOAD",
    "SET",
    "SINGLE",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "STORAGE",
    "SUBPARTITION",
    "TABLEGROUP",
    "TABLESPACE",
    "TRANSACTIONAL",
    "TTL",
    "UNION",
    "UPGRADE",
    "VALIDATION",
    "WITH",
    "WITHOUT",
];

/// First words of clauses that maintain partitions. Such a clause is the only clause of its statement, and it may list several partitions.
const PARTITION_UPKEEP: &[&str] =
    &["ANALYZE", "CHECK", "COALESCE", "EXTRACT", "MERGE", "MOVE", "OPTIMIZE", "REBUILD", "REORGANIZE", "REPAIR", "SPLIT"];

/// What one clause of an ALTER TABLE does.
enum Item {
    /// The clause changes nothing that is tracked here, or only the default collation; for example, it sets a table option or adds a
    /// partition.
    Option,
    /// The clause adds a foreign key or a check.
    Constraint,
    DropForeignKey,
    /// The clause adds an index whose form cannot be read. Nothing depends on it.
    AddIndex,
    Key(KeyChange),
    /// The clause changes columns or drops the primary key.
    Columns,
    AddPrimaryKey,
    /// The clause drops the primary key as if it were an index with the name PRIMARY.
    DropPrimaryAsIndex,
    Rename(TableId),
    /// The clause moves rows into or out of the table without row events. The field holds the other table, if the clause names one.
    Exchange(Option<TableId>),
    /// The clause makes a table of a partition (MariaDB).
    PartitionToTable(TableId),
    /// The clause makes a partition of a table (MariaDB).
    TableToPartition(TableId),
    /// The clause drops or empties partitions.
    RemoveRows,
    Repartition(Vec<String>),
}

impl Item {
    /// The kind of an ALTER TABLE that begins with this clause; `None` for a constraint, because then the next clause decides.
    fn kind(&self) -> Option<SchemaChangeKind> {
        Some(match self {
            Self::Constraint => return None,
            Self::AddIndex | Self::Key(KeyChange::Add(_) | KeyChange::AddOfColumn(_)) | Self::AddPrimaryKey => {
                SchemaChangeKind::CreateIndex
            }
            Self::DropForeignKey | Self::Key(KeyChange::Drop(_)) | Self::DropPrimaryAsIndex => SchemaChangeKind::DropIndex,
            Self::Rename(_) => SchemaChangeKind::RenameTable,
            Self::Option
            | Self::Key(KeyChange::Rename(..))
            | Self::Columns
            | Self::Exchange(_)
            | Self::PartitionToTable(_)
            | Self::TableToPartition(_)
            | Self::RemoveRows
            | Self::Repartition(_) => SchemaChangeKind::AlterTable,
        })
    }
}

/// The clauses of an ALTER TABLE.
#[derive(Default)]
struct Clauses {
    alter: Alter,
    options: CollationOptions,
    conversion: Option<Conversion>,
}

/// Reads the part of an ALTER TABLE after the words `ALTER TABLE [IF EXISTS]`.
pub(crate) fn read_alter_table(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Change, ReadError> {
    let table = cursor.table(context.database)?;
    cursor.take_wait();
    let (mut kind, mut constrained) = (None, false);
    let mut clauses = Clauses::default();
    let mut rename = None;
    let mut repartition: Option<Vec<String>> = None;
    let mut effects = Vec::new();
    while !cursor.at_end() {
        let item = read_item(cursor, &table, context, &mut clauses)?;
        kind = kind.or(item.kind());
        match item {
            Item::Option | Item::AddIndex | Item::DropForeignKey | Item::Columns | Item::AddPrimaryKey | Item::DropPrimaryAsIndex => {}
            Item::Constraint => constrained = true,
            Item::Key(change) => clauses.alter.keys.push(change),
            Item::Rename(to) => rename = Some(to),
            // The exchange changes the rows of both tables, and either of them may be selected.
            Item::Exchange(other) => {
                for table in [table.clone()].into_iter().chain(other) {
                    effects.push(Effect::Exchange { table });
                }
            }
            // The new table has the columns and keys of this one, and no partitions.
            Item::PartitionToTable(other) => {
                effects.push(Effect::Exchange { table: table.clone() });
                effects.push(Effect::CreateLike { table: other.clone(), like: table.clone(), if_not_exists: false });
                effects.push(Effect::Repartition { table: other.clone(), names: Vec::new() });
                effects.push(Effect::Exchange { table: other });
            }
            Item::TableToPartition(other) => {
                effects.push(Effect::Exchange { table: table.clone() });
                effects.push(Effect::Exchange { table: other.clone() });
                effects.push(Effect::Drop { table: other });
            }
            Item::RemoveRows => effects.push(Effect::RemoveRows { table: table.clone() }),
            Item::Repartition(names) => repartition.get_or_insert_default().extend(names),
        }
        cursor.take_symbol(',');
    }
    let Clauses { mut alter, options, conversion } = clauses;
    alter.converts_to = conversion.map(|conversion| conversion.to);
    if !options.is_empty() {
        alter.collation = options.resolve(&context.collation_scope(), (context.collations)(&table.database).as_ref())?;
    }
    let only_keys = Alter { keys: alter.keys.clone(), ..Alter::default() } == alter;
    if !only_keys {
        effects.push(Effect::Alter { table: table.clone(), alter: Box::new(alter) });
    } else if !alter.keys.is_empty() {
        effects.push(Effect::Keys { table: table.clone(), changes: alter.keys });
    }
    if let Some(names) = repartition {
        effects.push(Effect::Repartition { table: table.clone(), names });
    }
    if let Some(to) = rename {
        effects.push(Effect::Rename { from: table.clone(), to });
    }
    if effects.is_empty() {
        effects.push(Effect::Keep { table });
    }
    // A statement without any clause has the same kind as a statement that sets options.
    Ok(Change { kind: kind.or((!constrained).then_some(SchemaChangeKind::AlterTable)), effects })
}

/// Reads the first words of a clause, which say what it does, and skips the rest of the clause.
fn read_item(cursor: &mut Cursor<'_>, table: &TableId, context: &StatementContext<'_>, clauses: &mut Clauses) -> Result<Item, ReadError> {
    let alter = &mut clauses.alter;
    let item = if cursor.take_word(&["ADD"]) {
        read_add(cursor, context, alter)?
    } else if cursor.take_word(&["DROP"]) {
        read_drop(cursor, alter)?
    } else if cursor.take_word(&["MODIFY"]) {
        let upkeep = cursor.is_word(0, &["PARTITION", "SUBPARTITION"]) || (cursor.is_word(0, &["TTL"]) && cursor.is_word(1, &["SET"]));
        if upkeep {
            skip_all(cursor);
            Item::Option
        } else {
            cursor.take_word(&["COLUMN"]);
            let if_exists = cursor.take_if_exists();
            let column = read_column(cursor, context, alter)?;
            alter.change_column(ColumnChange::Change { name: column.name.clone(), column, if_exists })?;
            Item::Columns
        }
    } else if cursor.take_word(&["CHANGE"]) {
        cursor.take_word(&["COLUMN"]);
        let if_exists = cursor.take_if_exists();
        let name = cursor.name("a column")?;
        let column = read_column(cursor, context, alter)?;
        alter.change_column(ColumnChange::Change { name, column, if_exists })?;
        Item::Columns
    } else if cursor.take_word(&["ALTER"]) {
        // ALTER changes a default, the visibility of a column or an index, or the enforcement of a check. None of these is tracked.
        Item::Option
    } else if cursor.take_word(&["RENAME"]) {
        read_rename(cursor, &table.database, context, alter)?
    } else if cursor.take_words(&["CONVERT", "TO"]) {
        let scope = context.collation_scope();
        let conversion = Conversion::read(cursor, &scope, &table.database)?;
        clauses.options.converted(&conversion, &scope);
        clauses.conversion = Some(conversion.behind(clauses.conversion.take(), &scope));
        Item::Columns
    } else if cursor.take_words(&["LOCAL", "PARTITION", "BY"]) {
        // Rows expire by such partitions. They are no part of a key.
        skip_all(cursor);
        Item::Option
    } else if cursor.take_words(&["REMOVE", "PARTITIONING"]) || cursor.take_word(&["SINGLE", "BROADCAST"]) {
        Item::Repartition(Vec::new())
    } else if cursor.is_partition_clause() {
        Item::Repartition(read_partition_clause(cursor)?)
    } else if cursor.take_words(&["EXCHANGE", "PARTITION"]) {
        cursor.name("the partition")?;
        if !cursor.take_words(&["WITH", "TABLE"]) {
            return Err(cursor.error("EXCHANGE PARTITION without the other table"));
        }
        let other = cursor.table(context.database)?;
        skip_all(cursor);
        Item::Exchange(Some(other))
    } else if cursor.take_words(&["CONVERT", "PARTITION"]) {
        cursor.name("the partition")?;
        if !cursor.take_words(&["TO", "TABLE"]) {
            return Err(cursor.error("CONVERT PARTITION without the other table"));
        }
        Item::PartitionToTable(cursor.table(context.database)?)
    } else if cursor.take_words(&["CONVERT", "TABLE"]) {
        let other = cursor.table(context.database)?;
        skip_all(cursor);
        Item::TableToPartition(other)
    } else if cursor.take_word(&["DISCARD", "IMPORT"]) {
        // The clause discards or imports the tablespace of the table or of some partitions.
        skip_all(cursor);
        Item::Exchange(None)
    } else if cursor.take_word(&["TRUNCATE"]) {
        skip_all(cursor);
        Item::RemoveRows
    } else if cursor.take_words(&["ORDER", "BY"]) || cursor.take_word(PARTITION_UPKEEP) {
        skip_all(cursor);
        Item::Option
    } else if is_option(cursor) {
        if !clauses.options.take(cursor)? {
            cursor.advance();
        }
        Item::Option
    } else {
        return Err(cursor.error("an unknown clause of ALTER TABLE"));
    };
    if matches!(item, Item::Option | Item::Constraint | Item::DropForeignKey | Item::Repartition(_)) {
        skip_option(cursor, &mut clauses.options)?;
    } else if !(matches!(item, Item::Columns) && cursor.is_partition_clause()) {
        cursor.skip_item()?;
    }
    if cursor.is_symbol(0, ')') {
        return Err(cursor.error("a closing parenthesis too many"));
    }
    Ok(item)
}

/// Skips the rest of the statement. It is used for clauses that contain commas; such a clause is always the last clause of its statement.
fn skip_all(cursor: &mut Cursor<'_>) {
    while !cursor.at_end() {
        cursor.advance();
    }
}

/// Whether an option of the table is next. Storage engines of MariaDB have options of their own, of any name.
fn is_option(cursor: &Cursor<'_>) -> bool {
    let is_named = matches!(cursor.peek(), Some(Token::Word(_) | Token::Name(_)));
    (is_named && cursor.is_symbol(1, '='))
        || cursor.is_word(0, OPTIONS)
        || cursor.word_at(0).is_some_and(|word| word.to_ascii_uppercase().starts_with("SECONDARY_ENGINE"))
}

/// Skips the rest of an option, and further options that follow without a comma. Stops at a partition clause, which also needs no comma
/// before it.
fn skip_option(cursor: &mut Cursor<'_>, options: &mut CollationOptions) -> Result<(), ReadError> {
    while cursor.peek().is_some()
        && !cursor.at_end()
        && !cursor.is_symbol(0, ',')
        && !cursor.is_symbol(0, ')')
        && !cursor.is_partition_clause()
    {
        if cursor.is_symbol(0, '(') {
            cursor.skip_parentheses()?;
        } else if !options.take(cursor)? {
            cursor.advance();
        }
    }
    Ok(())
}

/// Reads the definition of a column, and notes the key that it declares.
fn read_column(cursor: &mut Cursor<'_>, context: &StatementContext<'_>, alter: &mut Alter) -> Result<ColumnSpec, ReadError> {
    let column = ColumnSpec::read(cursor, &context.rules(None))?;
    if column.is_unique() {
        alter.keys.push(KeyChange::AddOfColumn(column.name.clone()));
    }
    Ok(column)
}

fn read_add(cursor: &mut Cursor<'_>, context: &StatementContext<'_>, alter: &mut Alter) -> Result<Item, ReadError> {
    let mut constraint = None;
    if cursor.take_word(&["CONSTRAINT"]) && !cursor.is_word(0, &["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
        constraint = cursor.take_name();
    }
    if cursor.take_words(&["PRIMARY", "KEY"]) {
        alter.primary_key = Some(read_key(cursor, true)?.columns());
        return Ok(Item::AddPrimaryKey);
    }
    if take_unique_words(cursor) {
        let mut key = read_key(cursor, true)?;
        key.name = key.name.or(constraint);
        return Ok(Item::Key(KeyChange::Add(key)));
    }
    if take_index_words(cursor) {
        return Ok(read_index(cursor).map_or(Item::AddIndex, |key| Item::Key(KeyChange::Add(key))));
    }
    let check = cursor.is_word(0, &["CHECK"]) && cursor.is_symbol(1, '(');
    if check || cursor.is_word(0, &["FOREIGN"]) || constraint.is_some() {
        return Ok(Item::Constraint);
    }
    if cursor.is_word(0, &["PARTITION", "SUBPARTITION"]) {
        return Ok(Item::Option);
    }
    refuse_versioning(cursor)?;
    if cursor.take_words(&["PERIOD", "FOR"]) {
        cursor.name("a period")?;
        alter.not_null.extend(cursor.names_in_parentheses()?);
        return Ok(Item::Columns);
    }
    cursor.take_word(&["COLUMN"]);
    let if_not_exists = cursor.take_if_not_exists();
    if !cursor.take_symbol('(') {
        let column = read_column(cursor, context, alter)?;
        alter.change_column(ColumnChange::Add { column, if_not_exists })?;
        return Ok(Item::Columns);
    }
    loop {
        let column = read_column(cursor, context, alter)?;
        alter.change_column(ColumnChange::Add { column, if_not_exists })?;
        if cursor.take_symbol(')') {
            return Ok(Item::Columns);
        }
        cursor.expect_symbol(',')?;
    }
}

/// Fails at a clause that begins or ends system versioning (MariaDB). The rows of such a table hold its past as well, and two more columns.
fn refuse_versioning(cursor: &Cursor<'_>) -> Result<(), ReadError> {
    let is_versioning = cursor.is_word(0, &["SYSTEM"]) && cursor.is_word(1, &["VERSIONING"]);
    let is_period = cursor.is_word(0, &["PERIOD"]) && cursor.is_word(1, &["FOR"]) && cursor.is_word(2, &["SYSTEM_TIME"]);
    if is_versioning || is_period { Err(cursor.error("tables with system versioning are not supported")) } else { Ok(()) }
}

fn read_drop(cursor: &mut Cursor<'_>, alter: &mut Alter) -> Result<Item, ReadError> {
    if cursor.take_words(&["PRIMARY", "KEY"]) {
        alter.drops_primary_key = true;
        return Ok(Item::Columns);
    }
    if cursor.take_word(&["PARTITION", "SUBPARTITION"]) {
        skip_all(cursor);
        return Ok(Item::RemoveRows);
    }
    if cursor.take_words(&["FOREIGN", "KEY"]) {
        return Ok(Item::DropForeignKey);
    }
    refuse_versioning(cursor)?;
    // The columns of a period stay NOT NULL.
    if cursor.take_word(&["CHECK"]) || cursor.take_words(&["PERIOD", "FOR"]) {
        return Ok(Item::Option);
    }
    // A constraint may be a unique key. If no unique key has this name, the change is ignored later.
    if cursor.take_word(&["INDEX", "KEY", "CONSTRAINT"]) {
        cursor.take_if_exists();
        let name = cursor.name("a key")?;
        if name.eq_ignore_ascii_case("PRIMARY") {
            alter.drops_primary_key = true;
            return Ok(Item::DropPrimaryAsIndex);
        }
        return Ok(Item::Key(KeyChange::Drop(name)));
    }
    cursor.take_word(&["COLUMN"]);
    let if_exists = cursor.take_if_exists();
    alter.change_column(ColumnChange::Drop { name: cursor.name("a column")?, if_exists })?;
    Ok(Item::Columns)
}

fn read_rename(cursor: &mut Cursor<'_>, database: &str, context: &StatementContext<'_>, alter: &mut Alter) -> Result<Item, ReadError> {
    if cursor.take_word(&["COLUMN"]) {
        let if_exists = cursor.take_if_exists();
        let from = cursor.name("a column")?;
        if !cursor.take_word(&["TO"]) {
            return Err(cursor.error("expected TO"));
        }
        alter.change_column(ColumnChange::Rename { from, to: cursor.name("a column")?, if_exists })?;
        return Ok(Item::Columns);
    }
    if cursor.is_word(0, &["PARTITION", "SUBPARTITION"]) {
        skip_all(cursor);
        return Ok(Item::Option);
    }
    if cursor.take_word(&["INDEX", "KEY"]) {
        let from = cursor.name("a key")?;
        if !cursor.take_word(&["TO"]) {
            return Err(cursor.error("expected TO"));
        }
        return Ok(Item::Key(KeyChange::Rename(from, cursor.name("a key")?)));
    }
    let _ = cursor.take_word(&["TO", "AS"]) || cursor.take_symbol('=');
    // A new name without a database is in the session's database. If the session has no database, the new name is in the database of the
    // table.
    cursor.table(if context.database.is_empty() { database } else { context.database }).map(Item::Rename)
}
