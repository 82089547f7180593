//! Table schemas. They are parsed from SHOW CREATE TABLE and from the DDL in the binlog, and kept up to date while a stream is read.

mod alter;
mod altered;
mod collation;
mod column;
mod create;
mod cursor;
mod databases;
mod error;
mod followed;
pub mod history;
mod lexer;
mod objects;
mod polardbx;
mod script;
pub(crate) mod shadow;
mod statement;
#[cfg(test)]
mod tests;
mod unstated;

pub(crate) use collation::max_bytes;
pub use collation::{DatabaseCollations, NamedCollation, SessionCollations, collation_of_number, of_collation_number};
pub(crate) use column::quote_labels;
pub use create::{ColumnSpec, CreateTable, ExplicitTimestamps, KeyDefinition, PartDefinition, StatementContext, read_create_table};
pub(crate) use create::{for_mysql, foreign_key_actions, without_foreign_keys};
pub(crate) use cursor::Cursor;
pub(crate) use databases::Databases;
pub use error::ReadError;
pub use followed::{FollowedRows, FollowedTable};
pub use history::{Applied, History, Interest, WithoutEvents};
pub use lexer::Dialect;
pub(crate) use lexer::{Token, ends_with_words, first_word, loses_names};
pub(crate) use objects::OtherObjects;
pub(crate) use polardbx::{add_partitions, concerns_accounts, loses_partitions, partitions_only, tables_named, without_leading_comma};
pub(crate) use script::{statements, used_database};
pub(crate) use statement::changes_only_named_tables;
pub use statement::{Alter, Change, ColumnChange, Effect, KeyChange, Statement, XaStatement, Xid, read_statement};
pub use unstated::Unstated;
