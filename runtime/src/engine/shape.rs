//! What the transforms of a task make of its tables, apart from any rows.

use std::sync::Arc;

use crate::{Batch, Body, Event, Finding, Level, Result, SchemaChange, SchemaChangeKind, SchemaChanges, Seq, TableSchema, Transform};

/// These tables as they are behind the transforms, which are asked by an event that names all of them. So the transforms know the tables.
pub(super) fn transformed(transforms: &mut [Box<dyn Transform>], schemas: Vec<Arc<TableSchema>>) -> Result<Vec<Arc<TableSchema>>> {
    if schemas.is_empty() || transforms.is_empty() {
        return Ok(schemas);
    }
    told(transforms, schemas.into_iter().map(|schema| (schema.id.clone(), Some(schema))).collect())
}

/// Tells new transforms of tables, and then that some have other schemas. Fails if a transform cannot take the change.
pub(super) fn changed(transforms: &mut [Box<dyn Transform>], before: Vec<Arc<TableSchema>>, changes: &SchemaChanges) -> Result<()> {
    transformed(transforms, before)?;
    told(transforms, changes.clone()).map(drop)
}

fn told(transforms: &mut [Box<dyn Transform>], tables: SchemaChanges) -> Result<Vec<Arc<TableSchema>>> {
    let mut change = SchemaChange::new(SchemaChangeKind::Other, "", "");
    change.tables = tables;
    let body = Body::Schema(change);
    let event = Event { seq: Seq(1), position: "".into(), timestamp_ms: 0, txid: None, origin: Arc::default(), body };
    let mut batch = Batch::new(vec![event], None, 0);
    for transform in transforms {
        transform.apply(&mut batch).map_err(|error| error.while_doing("transforming the names of tables"))?;
    }
    let of_event = |event: Event| match event.body {
        Body::Schema(change) => change.tables,
        _ => Vec::new(),
    };
    Ok(batch.events.into_iter().flat_map(of_event).filter_map(|(_, schema)| schema).collect())
}

/// What each transform finds about the selected tables, which it is shown as the transforms before it make them.
pub(super) fn check(transforms: &mut [Box<dyn Transform>], mut tables: Vec<Arc<TableSchema>>) -> Vec<Finding> {
    let mut found = Vec::new();
    for transform in transforms {
        let of_transform = transform.check(&tables);
        let has_failed = of_transform.iter().any(|finding| finding.level == Level::Failed);
        found.extend(of_transform);
        tables = match transformed(std::slice::from_mut(transform), tables) {
            Ok(tables) => tables,
            Err(error) => {
                // The transform has said so already, most likely.
                if !has_failed {
                    found.push(Finding::from_error("transform", &error));
                }
                break;
            }
        };
    }
    found
}

/// The conditions of the first transforms on a table, up to the first transform that has none.
pub(super) fn pushdown(transforms: &mut [Box<dyn Transform>], schema: &Arc<TableSchema>) -> Result<Vec<String>> {
    transforms.iter_mut().map_while(|transform| transform.pushdown(schema).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableId;

    /// Gives every table the database `copy`, and drops the events that it is told to drop.
    struct Into(bool);

    impl Transform for Into {
        fn fingerprint(&self) -> String {
            String::new()
        }

        fn apply(&mut self, batch: &mut Batch) -> Result<()> {
            batch.retain(|event| {
                if let Body::Schema(change) = &mut event.body {
                    for (table, schema) in &mut change.tables {
                        table.database = "copy".into();
                        *schema = schema.take().map(|schema| Arc::new(TableSchema { id: table.clone(), ..TableSchema::clone(&schema) }));
                    }
                }
                Ok(!self.0)
            })
        }
    }

    #[test]
    fn a_change_without_an_event_is_told_to_the_transforms() {
        let table = |name: &str| {
            let column = crate::Column::new(name, crate::ColumnKind::Float, "float");
            Arc::new(TableSchema::new(TableId::new("shop", "t"), vec![crate::Column::new("id", crate::ColumnKind::Float, "float"), column]))
        };
        let settings = crate::Settings::from(serde_json::json!({"tables": ["shop.t"], "exclude": ["hash"]}));
        let told = |before: &str, after: &str| {
            let columns = crate::transforms::Columns::new(settings.parse("columns")?)?;
            changed(&mut [Box::new(columns)], vec![table(before)], &vec![(TableId::new("shop", "t"), Some(table(after)))])
        };
        assert!(told("hash", "HASH").is_ok() && told("x", "y").is_ok());
        assert_eq!(told("hash", "y").unwrap_err().code(), Some("E_NO_COLUMN"));
    }

    #[test]
    fn tables_are_named_as_behind_the_transforms() {
        let schemas = || ["a", "b"].map(|table| Arc::new(TableSchema::new(TableId::new("shop", table), Vec::new()))).to_vec();
        let names = |mut transforms: Vec<Box<dyn Transform>>| {
            transformed(&mut transforms, schemas()).unwrap().iter().map(|schema| schema.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(Vec::new()), ["a", "b"].map(|table| TableId::new("shop", table)));
        assert_eq!(names(vec![Box::new(Into(false))]), ["a", "b"].map(|table| TableId::new("copy", table)));
        assert!(names(vec![Box::new(Into(true))]).is_empty());
    }
}
