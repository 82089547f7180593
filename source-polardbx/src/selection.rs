//! Selects tables by the patterns of `tables` and `exclude`.

use std::collections::HashSet;
use std::sync::Arc;

use runtime::{NameCase, TableId, TablePattern};

use crate::config::ConfigError;
use crate::schema::{Interest, shadow};

/// The database of the marker table, to which the visibility barrier writes. It is never selected.
pub(crate) const MARKER_DATABASE: &str = "dts_health_check";

/// Databases that hold the server's own tables.
const SYSTEM_DATABASES: &[&str] =
    &["mysql", "information_schema", "performance_schema", "sys", "polardbx_meta_db", "__recycle_bin__", MARKER_DATABASE];

/// PolarDB-X system tables inside user databases.
const SYSTEM_TABLES: &[&str] = &["__drds_global_tx_log", "polarx_global_trx_log", "__drds_redo_log", "__polardbx_sync_point__"];

/// The selected tables: those that match a pattern of `tables` and no pattern of `exclude`. System tables are never selected.
///
/// A table that `tables` lists by its full name is selected whatever the patterns beside it say: it is left out neither as a table of a tool for
/// schema changes nor as a new table. Besides that, the order of patterns does not matter.
#[derive(Clone, Debug)]
pub struct Selection {
    include: Vec<TablePattern>,
    exclude: Vec<TablePattern>,
    case: NameCase,
    /// Whether the tables of tools for online schema changes are left out.
    without_shadows: bool,
    /// The tables with which the task began, if new ones are ignored, in lower case if the case of names is ignored.
    begun_with: Option<Arc<HashSet<TableId>>>,
}

impl Selection {
    /// Parses the patterns of the keys `tables` and `exclude`.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, ConfigError> {
        if include.is_empty() {
            return Err(bad("tables", "it is empty", "list what to move, such as tables = [\"shop.*\"]"));
        }
        let parse =
            |key: &'static str, texts: &[String]| texts.iter().map(|text| parse(key, text)).collect::<Result<Vec<_>, ConfigError>>();
        let (include, exclude) = (parse("tables", include)?, parse("exclude", exclude)?);
        let selection = Self { include, exclude, case: NameCase::Exact, without_shadows: false, begun_with: None };
        for pattern in &selection.include {
            if let Some(database) = pattern.literal_database().filter(|database| is_system_database(database)) {
                return Err(bad("tables", format!("`{database}` is a database of the server's own"), "list databases of yours"));
            }
        }
        Ok(selection)
    }

    /// Returns the same selection, which ignores the case of names if `fold_case` is true. This is for servers that compare names in lower
    /// case.
    pub(crate) fn folded(mut self, fold_case: bool) -> Self {
        self.case = if fold_case { NameCase::Folded } else { NameCase::Exact };
        self
    }

    /// Returns the same selection, which leaves out the tables of tools for online schema changes if `without` is true, unless a pattern is
    /// the full name of such a table.
    pub(crate) fn without_shadows(mut self, without: bool) -> Self {
        self.without_shadows = without;
        self
    }

    /// Returns the same selection, which leaves out all tables but these, unless a pattern is the full name of a table. The names are compared
    /// as [`Selection::folded`] says, which must have been called before.
    pub(crate) fn without_new(mut self, begun_with: impl IntoIterator<Item = TableId>) -> Self {
        self.begun_with = Some(Arc::new(begun_with.into_iter().map(|table| self.compared(table)).collect()));
        self
    }

    /// The part of the selection that lists tables by their full names.
    pub(crate) fn only_literals(mut self) -> Self {
        self.include.retain(|pattern| pattern.literal().is_some());
        self
    }

    fn compared(&self, table: TableId) -> TableId {
        match self.case {
            NameCase::Exact => table,
            NameCase::Folded => TableId::new(table.database.to_lowercase(), table.table.to_lowercase()),
        }
    }

    /// Whether the table is selected.
    pub(crate) fn selects(&self, table: &TableId) -> bool {
        self.has_pattern_for(table) && !self.has_name_of_shadow(table) && !self.is_new(table)
    }

    /// Whether the table would be selected if the task had begun with it.
    pub(crate) fn leaves_out_as_new(&self, table: &TableId) -> bool {
        self.has_pattern_for(table) && !self.has_name_of_shadow(table) && self.is_new(table)
    }

    fn is_new(&self, table: &TableId) -> bool {
        let is_known = |begun_with: &Arc<HashSet<TableId>>| begun_with.contains(&self.compared(table.clone()));
        self.begun_with.as_ref().is_some_and(|begun_with| !is_known(begun_with)) && !self.is_listed(table)
    }

    fn is_listed(&self, table: &TableId) -> bool {
        self.literals().any(|listed| self.same(&listed, table))
    }

    /// Whether the table would be selected if it had another name than those of the tables of tools for online schema changes.
    pub(crate) fn leaves_out_as_shadow(&self, table: &TableId) -> bool {
        self.has_pattern_for(table) && self.has_name_of_shadow(table)
    }

    fn has_pattern_for(&self, table: &TableId) -> bool {
        let hit = |pattern: &TablePattern| pattern.matches(table, self.case);
        !is_system_database(&table.database)
            && !is_system_table(&table.table)
            && self.include.iter().any(hit)
            && !self.exclude.iter().any(hit)
    }

    fn has_name_of_shadow(&self, table: &TableId) -> bool {
        self.without_shadows && shadow::original(&table.table).is_some() && !self.is_listed(table)
    }

    /// What the stream wants to know of a table. Tables that are not selected are followed in all databases that may hold selected tables.
    pub(crate) fn interest(&self, table: &TableId) -> Interest {
        if self.selects(table) {
            Interest::Selected
        } else if self.may_select_from(&table.database) && !is_system_table(&table.table) {
            Interest::Followed
        } else {
            Interest::None
        }
    }

    /// Whether the database may hold selected tables. The tables of other databases need not be listed.
    pub(crate) fn may_select_from(&self, database: &str) -> bool {
        !is_system_database(database) && self.include.iter().any(|pattern| pattern.matches_database(database, self.case).unwrap_or(true))
    }

    /// Whether DDL about the database itself, such as DROP DATABASE, is delivered. Regular expressions are for names of tables, so they
    /// select no database.
    pub(crate) fn selects_database(&self, database: &str) -> bool {
        let names = |pattern: &TablePattern| pattern.matches_database(database, self.case).unwrap_or(false);
        let all_of = |pattern: &TablePattern| pattern.is_for_all_of_its_database() && names(pattern);
        !is_system_database(database) && self.include.iter().any(names) && !self.exclude.iter().any(all_of)
    }

    /// The tables that `tables` lists by their full names, without a glob or a regular expression.
    pub(crate) fn literals(&self) -> impl Iterator<Item = TableId> + '_ {
        self.include.iter().filter_map(TablePattern::literal)
    }

    /// The patterns of `tables` that match none of these tables and are not a table's full name.
    pub(crate) fn patterns_without_table(&self, tables: &[TableId]) -> Vec<&str> {
        let idle = |pattern: &&TablePattern| pattern.literal().is_none() && !tables.iter().any(|table| pattern.matches(table, self.case));
        self.include.iter().filter(idle).map(TablePattern::as_str).collect()
    }

    /// Whether two names mean the same table on this server.
    pub(crate) fn same(&self, a: &TableId, b: &TableId) -> bool {
        self.case.same(&a.database, &b.database) && self.case.same(&a.table, &b.table)
    }
}

fn bad(key: &'static str, why: impl Into<String>, help: &str) -> ConfigError {
    ConfigError::new(key, why, help)
}

/// Whether the database holds the server's own tables, which are never selected.
pub(crate) fn is_system_database(name: &str) -> bool {
    SYSTEM_DATABASES.iter().any(|system| name.eq_ignore_ascii_case(system)) || starts_with_folded(name, "__cdc__")
}

fn is_system_table(name: &str) -> bool {
    SYSTEM_TABLES.iter().any(|system| name.eq_ignore_ascii_case(system)) || starts_with_folded(name, "__drds__systable__")
}

fn starts_with_folded(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn parse(key: &'static str, text: &str) -> Result<TablePattern, ConfigError> {
    TablePattern::parse(text).map_err(|error| bad(key, error.why, error.help))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn selects(include: &[&str], exclude: &[&str], database: &str, table: &str) -> bool {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(include), &owned(exclude)).unwrap().selects(&TableId::new(database, table))
    }

    #[test]
    fn patterns_that_match_no_table_are_listed() {
        let texts: Vec<String> = ["shop.*", "nosuch.*", "shop.missing", "re:^shop\\.x", "sho?.orders"].map(str::to_owned).into();
        let selection = Selection::new(&texts, &[]).unwrap();
        assert_eq!(selection.patterns_without_table(&[TableId::new("shop", "orders")]), ["nosuch.*", "re:^shop\\.x"]);
    }

    #[test]
    fn literals_globs_and_expressions() {
        for (pattern, database, table, expected) in [
            ("shop.orders", "shop", "orders", true),
            ("shop.orders", "shop", "orders2", false),
            ("shop.*", "shop", "orders", true),
            ("shop.*", "shop2", "orders", false),
            ("sh?p.or*s", "shop", "ors", true),
            ("sh?p.or*s", "shhop", "ors", false),
            ("*.*", "shop", "orders", true),
            ("`a.b`.`c ``d`", "a.b", "c `d", true),
            ("`shop`.`*`", "shop", "orders", false),
            ("re:^log_[0-9]+\\.event$", "log_12", "event", true),
            ("re:log_[0-9]+\\.event", "log_12", "event_old", false),
            ("re:a|b\\.c", "a", "c", false),
        ] {
            assert_eq!(selects(&[pattern], &[], database, table), expected, "{pattern} {database}.{table}");
        }
        assert!(!selects(&["shop.*"], &["shop.tmp_*"], "shop", "tmp_1"));
        assert!(selects(&["shop.*"], &["shop.tmp_*"], "shop", "tmp"));
    }

    #[test]
    fn databases_are_selected_by_their_part_of_a_pattern() {
        let selection =
            Selection::new(&["shop_*.orders".into(), "crm.*".into(), "re:log.*".into()], &["shop_old.*".into(), "crm.tmp_*".into()])
                .unwrap();
        for (database, expected) in
            [("shop_1", true), ("crm", true), ("shop_old", false), ("log", false), ("shop", false), ("mysql", false)]
        {
            assert_eq!(selection.selects_database(database), expected, "{database}");
        }
    }

    #[test]
    fn system_tables_are_never_selected() {
        for database in ["mysql", "SYS", "information_schema", "dts_health_check", "__cdc__x", "__recycle_bin__"] {
            assert!(!selects(&["*.*"], &[], database, "t"), "{database}");
        }
        assert!(!selects(&["*.*"], &[], "shop", "__drds_redo_log"));
    }

    #[test]
    fn an_invalid_name_is_refused_with_key_and_text() {
        for text in ["", "shop", "a.b.c", ".t", "a.", "a b.c", "`a.b", "``.c", "re:(", "`a`b.c", "a.'b'"] {
            let error = Selection::new(&[text.to_owned()], &[]).unwrap_err();
            assert!(error.key == "tables" && error.why.contains(&format!("{text:?}")), "{text}: {error}");
        }
    }

    #[test]
    fn folding_servers_ignore_case() {
        let selection = Selection::new(&["Shop.Or*".to_owned()], &[]).unwrap();
        assert!(!selection.selects(&TableId::new("shop", "orders")));
        assert!(selection.folded(true).selects(&TableId::new("shop", "orders")));
    }

    #[test]
    fn new_tables_are_left_out_unless_they_are_listed() {
        let table = |name: &str| TableId::new("shop", name);
        let patterns: Vec<String> = ["shop.*", "shop.late"].map(str::to_owned).into();
        let selection = |fold_case| {
            let selection = Selection::new(&patterns, &["shop.no".to_owned()]).unwrap().without_shadows(true).folded(fold_case);
            selection.without_new([table("orders"), table("Users")])
        };
        for (name, exact, folded) in [
            ("orders", true, true),
            ("ORDERS", false, true),
            ("users", false, true),
            ("late", true, true),
            ("new", false, false),
            ("no", false, false),
        ] {
            for (fold_case, expected) in [(false, exact), (true, folded)] {
                let selection = selection(fold_case);
                assert_eq!(selection.selects(&table(name)), expected, "{name}");
                assert_eq!(selection.leaves_out_as_new(&table(name)), !expected && name != "no", "{name}");
                let interest = if expected { Interest::Selected } else { Interest::Followed };
                assert_eq!(selection.interest(&table(name)), interest, "{name}");
            }
        }
        assert!(!selection(false).leaves_out_as_new(&table("_orders_gho")), "it is left out for its name");
        let listed = selection(false).only_literals();
        assert_eq!(listed.literals().collect::<Vec<_>>(), [table("late")]);
        assert!(listed.may_select_from("shop") && !listed.selects(&table("orders")));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = Selection::new(&[text], &[]);
        }
    }
}
