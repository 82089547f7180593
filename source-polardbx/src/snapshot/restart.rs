//! Which chunks are planned after tables have changed: those tables begin anew, and the others go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use runtime::{TableId, TableSchema};

use crate::facts::{Cursor, SnapshotPlan};

/// The plan after the tables `changed`, which may be new ones, begin anew. `tables` are all tables that exist now, sorted by name; tables
/// that are not among them have no more chunks. `chunks` are the chunks that the checkpoint holds. A table that begins anew continues
/// their numbers, so that no two chunks have the same name.
pub(crate) fn restart(
    plan: &SnapshotPlan,
    tables: &[Arc<TableSchema>],
    changed: &BTreeSet<TableId>,
    chunks: &[(TableId, u32)],
) -> SnapshotPlan {
    let exists = |table: &TableId| tables.binary_search_by(|schema| schema.id.cmp(table)).is_ok();
    let begun = plan.next.iter().chain(&plan.again);
    let begin = |table: &TableId| {
        let planned = begun.clone().filter(|cursor| cursor.table == *table).map(|cursor| cursor.chunk);
        let known = chunks.iter().filter(|(of, _)| of == table).map(|(_, number)| number.saturating_add(1));
        Cursor { table: table.clone(), chunk: planned.chain(known).max().unwrap_or(1), after: None }
    };
    // The first table that is not planned completely. The tables behind it need nothing: they are planned in their turn.
    let next = plan.next.as_ref().and_then(|cursor| {
        let first = tables.iter().find(|schema| schema.id >= cursor.table)?;
        let continues = first.id == cursor.table && !changed.contains(&first.id);
        Some(if continues { cursor.clone() } else { begin(&first.id) })
    });
    let is_passed = |table: &TableId| next.as_ref().is_none_or(|next| *table < next.table);
    let going_on = plan.again.iter().filter(|cursor| exists(&cursor.table) && !changed.contains(&cursor.table)).cloned();
    let anew = changed.iter().filter(|table| exists(table) && is_passed(table)).map(begin);
    SnapshotPlan { again: going_on.chain(anew).collect(), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(table: &str) -> TableId {
        TableId::new("d", table)
    }

    fn cursor(table: &str, chunk: u32, after: &str) -> Cursor {
        Cursor { table: id(table), chunk, after: (!after.is_empty()).then(|| after.to_owned()) }
    }

    fn restarted(plan: &SnapshotPlan, tables: &[&str], changed: &[&str], chunks: &[(&str, u32)]) -> SnapshotPlan {
        let tables: Vec<_> = tables.iter().map(|table| Arc::new(TableSchema::new(id(table), Vec::new()))).collect();
        let chunks: Vec<_> = chunks.iter().map(|(table, number)| (id(table), *number)).collect();
        restart(plan, &tables, &changed.iter().map(|table| id(table)).collect(), &chunks)
    }

    #[test]
    fn a_changed_table_begins_anew_and_the_others_go_on() {
        let plan = SnapshotPlan { next: Some(cursor("m", 5, "40")), again: Vec::new() };
        let of = |changed: &[&str], chunks: &[(&str, u32)]| restarted(&plan, &["a", "m", "z"], changed, chunks);
        assert_eq!(of(&[], &[]), plan);
        assert_eq!(of(&["z"], &[]), plan, "it has not begun");
        let anew = of(&["m"], &[("m", 3), ("m", 4)]);
        assert_eq!((anew.next, anew.again), (Some(cursor("m", 5, "")), Vec::new()));
        let anew = of(&["a"], &[("a", 7), ("a", 2), ("m", 9)]);
        assert_eq!((anew.next, anew.again), (plan.next.clone(), vec![cursor("a", 8, "")]));
        let over = SnapshotPlan { next: None, again: vec![cursor("a", 9, "1")] };
        let anew = restarted(&over, &["a", "z"], &["a", "z"], &[("z", 1)]);
        assert_eq!((anew.next, anew.again), (None, vec![cursor("a", 9, ""), cursor("z", 2, "")]));
    }

    #[test]
    fn tables_that_are_gone_have_no_more_chunks_and_new_ones_are_read() {
        let plan = SnapshotPlan { next: Some(cursor("m", 5, "40")), again: vec![cursor("a", 3, "7"), cursor("b", 2, "")] };
        let after = restarted(&plan, &["b", "c", "n"], &["c"], &[]);
        assert_eq!((after.next, after.again), (Some(cursor("n", 1, "")), vec![cursor("b", 2, ""), cursor("c", 1, "")]));
        let last = restarted(&plan, &["b"], &[], &[]);
        assert_eq!((last.next, last.again), (None, vec![cursor("b", 2, "")]));
    }
}
