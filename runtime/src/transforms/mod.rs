//! The built-in transforms.

mod by_schema;
mod columns;
mod etl;
mod filter;
mod known_tables;
mod masking;
mod operations;
mod quotient;
mod rename;
mod selected_tables;

pub use columns::{Columns, ColumnsConfig};
pub use etl::{AddColumns, AddColumnsConfig, AddedColumn, Etl, EtlConfig, Mask, MaskConfig, MaskRule, OnEtlError};
pub use filter::{Filter, FilterConfig};
pub use operations::{Operation, Operations, OperationsConfig};
pub use rename::{Case, ColumnPattern, NamePart, Pattern, Rename, RenameConfig, Replacement};

use crate::Registry;

/// Registers the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.transform("filter", Filter::new);
    registry.transform("operations", Operations::new);
    registry.transform("add_columns", AddColumns::new);
    registry.transform("etl", Etl::new);
    registry.transform("mask", Mask::new);
    registry.transform("columns", Columns::new);
    registry.transform("rename", Rename::new);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Whether a task that has run may continue with other settings of a transform.
    fn may_change(name: &str, before: Value, after: Value) -> bool {
        let mut registry = Registry::new();
        register(&mut registry);
        let built = |settings: Value| registry.build_transform(name, &settings.into()).unwrap();
        let (before, after) = (built(before), built(after));
        assert_ne!(before.digest(), after.digest(), "{name}: the change is not noticed");
        before.make().unwrap().fingerprint() == after.make().unwrap().fingerprint()
    }

    #[test]
    fn what_changes_neither_names_nor_keys_may_change_between_two_runs() {
        let t = || json!(["a.t"]);
        for (name, before, after) in [
            ("filter", json!({"tables": t(), "where": "id > 1"}), json!({"tables": t(), "where": "id > 2"})),
            ("operations", json!({"tables": t(), "keep": ["insert"]}), json!({"tables": t(), "keep": ["insert", "delete"]})),
            (
                "add_columns",
                json!({"tables": t(), "columns": [{"name": "x", "type": "int", "value": "1"}]}),
                json!({"tables": t(), "columns": [{"name": "x", "type": "int", "value": "2"}]}),
            ),
            ("etl", json!({"script": "e_set(`x`, 1)"}), json!({"script": "e_set(`x`, 2)"})),
            ("mask", json!({"tables": t(), "columns": {"x": "null"}}), json!({"tables": t(), "columns": {"x": {"constant": "y"}}})),
            (
                "mask",
                json!({"tables": t(), "columns": {"x": {"hash": {"salt": "a"}}}}),
                json!({"tables": t(), "columns": {"x": {"hash": {"salt": "b"}}}}),
            ),
            ("columns", json!({"tables": t(), "exclude": ["x"]}), json!({"tables": t(), "include": ["id"], "order": ["id"]})),
        ] {
            assert!(may_change(name, before, after), "{name}");
        }
    }

    #[test]
    fn names_and_keys_may_not_change_between_two_runs() {
        let t = || json!(["a.t"]);
        let column = |value: &str| json!([{"name": "x", "type": "int", "value": value, "key": true}]);
        for (name, before, after) in [
            ("add_columns", json!({"tables": t(), "columns": column("1")}), json!({"tables": t(), "columns": column("2")})),
            ("etl", json!({"script": "e_set(`x`, 1)"}), json!({"script": "e_set(`id`, `id` + 1)", "keys": ["id"]})),
            ("etl", json!({"script": "e_set(`id`, `id` + 1)", "keys": ["id"]}), json!({"script": "e_set(`id`, `id` + 2)", "keys": ["id"]})),
            (
                "mask",
                json!({"tables": t(), "keys": ["id"], "columns": {"id": {"hash": {"salt": "a"}}}}),
                json!({"tables": t(), "keys": ["id"], "columns": {"id": {"hash": {"salt": "b"}}}}),
            ),
            ("columns", json!({"tables": t(), "exclude": ["x"]}), json!({"tables": t(), "exclude": ["x"], "rename": {"y": "z"}})),
            ("columns", json!({"tables": t(), "exclude": ["x"]}), json!({"tables": t(), "exclude": ["x"], "key": ["y"]})),
            ("rename", json!({"tables": {"a.t": "a.u"}}), json!({"tables": {"a.t": "a.v"}})),
            ("rename", json!({"case": "lower"}), json!({"case": "upper"})),
        ] {
            assert!(!may_change(name, before, after), "{name}");
        }
    }
}
