//! What the transforms of a task make of its tables, apart from any rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::named_transform::NamedTransform;
use crate::{
    Batch, Body, Error, Event, Finding, Level, NameCase, Result, SchemaChange, SchemaChangeKind, SchemaChanges, Seq, TableId, TablePattern,
    TableSchema, Transform,
};

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

/// What the transforms of a task find about the selected tables, each of which is shown the tables as the transforms before it make them.
pub(super) fn check(named: &[NamedTransform], mut tables: Vec<Arc<TableSchema>>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut names = vec![ids(&tables)];
    let mut transforms = named.iter().map(NamedTransform::make).collect::<Result<Vec<_>>>()?;
    for transform in &mut transforms {
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
        names.push(ids(&tables));
    }
    found.extend(Names { named, stages: &names }.findings(&transforms));
    Ok(found)
}

/// Fails if a transform chooses tables by names that only a later transform gives them. For a task that has run: such a transform may have been
/// added since, and would do nothing.
pub(super) fn refuse_later_names(named: &[NamedTransform], mut tables: Vec<Arc<TableSchema>>) -> Result<()> {
    let mut transforms = named.iter().map(NamedTransform::make).collect::<Result<Vec<_>>>()?;
    let mut names = vec![ids(&tables)];
    for transform in &mut transforms {
        tables = transformed(std::slice::from_mut(transform), tables)?;
        names.push(ids(&tables));
    }
    refuse_failed(Names { named, stages: &names }.findings(&transforms)).map(drop)
}

/// What [`check`] finds whichever versions of the tables are taken. `versions` are schemas of tables that change, or that are made again with
/// other columns, as in tests of a configuration.
pub(super) fn check_versions<'a>(named: &[NamedTransform], versions: impl Iterator<Item = &'a Arc<TableSchema>>) -> Result<Vec<Finding>> {
    let mut tables: BTreeMap<TableId, Vec<&Arc<TableSchema>>> = BTreeMap::new();
    for schema in versions {
        let known = tables.entry(schema.id.clone()).or_default();
        if !known.contains(&schema) {
            known.push(schema);
        }
    }
    let most = tables.values().map(Vec::len).max().unwrap_or(0);
    let mut found: Option<Vec<Finding>> = None;
    for version in 0..most {
        let of_version = tables.values().filter_map(|known| known.get(version).or(known.last())).map(|schema| (*schema).clone());
        let now = check(named, of_version.collect())?;
        found = Some(match found {
            None => now,
            Some(before) => before.into_iter().filter(|finding| now.contains(finding)).collect(),
        });
    }
    Ok(found.unwrap_or_default())
}

/// Fails with the first finding by which the task cannot work; returns the warnings.
pub(super) fn refuse_failed(mut findings: Vec<Finding>) -> Result<Vec<Finding>> {
    match findings.iter().position(|finding| finding.level == Level::Failed) {
        Some(failed) => {
            let Finding { what, help, .. } = findings.swap_remove(failed);
            // What a transform says of itself may have no help.
            let error = Error::config(what).with_code("E_TRANSFORM").with_help("correct this transform in the file");
            Err(error.with_help(help))
        }
        None => Ok(findings),
    }
}

fn ids(tables: &[Arc<TableSchema>]) -> Vec<TableId> {
    tables.iter().map(|schema| schema.id.clone()).collect()
}

/// The names of the tables in front of each transform, and behind the last one. Each table has the same place in every list.
struct Names<'a> {
    named: &'a [NamedTransform],
    stages: &'a [Vec<TableId>],
}

impl Names<'_> {
    /// What is wrong with the patterns of the transforms.
    fn findings(&self, transforms: &[Box<dyn Transform>]) -> Vec<Finding> {
        let mut found = Vec::new();
        for (place, transform) in transforms.iter().enumerate() {
            let patterns = transform.table_patterns().into_iter();
            found.extend(patterns.filter_map(|(key, pattern)| self.finding(place, key, pattern)));
        }
        found
    }

    /// What is wrong with a pattern of the transform at `place`: that it only matches a name that a later transform gives, or matches nothing.
    fn finding(&self, place: usize, key: &str, pattern: &TablePattern) -> Option<Finding> {
        let matches = |table: &TableId| pattern.matches(table, NameCase::Exact);
        let before = self.stages.get(place).filter(|tables| !tables.is_empty() && !tables.iter().any(matches))?;
        let later = self.named.iter().zip(self.stages.iter().skip(1)).skip(place);
        // A transform of others might drop tables, and then their places tell nothing.
        for (named, after) in later.filter(|(_, after)| after.len() == before.len()) {
            if let Some((old, new)) = before.iter().zip(after).find(|(_, new)| matches(new)) {
                let text = pattern.as_str();
                let what = format!(
                    "key `transform.{key}`: no table matches {text:?} in front of `{by}`, which gives table {old} the name {new}",
                    by = named.name()
                );
                return Some(Finding::failed("transform", what, format!("write the name that the table has before it is renamed: {old}")));
            }
        }
        let what = format!("{key}: no selected table matches {:?}", pattern.as_str());
        Some(Finding::warning("transform", what, "correct the pattern, unless these tables are created later"))
    }
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
        assert_eq!(told("hash", "y").unwrap_err().code(), Some("E_COLUMN_REPLACED"));
    }

    /// The built-in transforms with these settings.
    fn built(choices: &[(&str, serde_json::Value)]) -> Vec<NamedTransform> {
        let mut registry = crate::Registry::new();
        crate::register(&mut registry);
        let build = |(name, settings): &(&str, serde_json::Value)| registry.build_transform(name, &settings.clone().into()).unwrap();
        choices.iter().map(build).collect()
    }

    fn table(name: &str, columns: &[&str]) -> Arc<TableSchema> {
        let columns = ["id"].iter().chain(columns).map(|name| crate::Column::new(*name, crate::ColumnKind::Float, "float")).collect();
        Arc::new(TableSchema::new(name.parse().unwrap(), columns))
    }

    #[test]
    fn a_pattern_for_a_name_that_a_later_transform_gives_is_refused() {
        use serde_json::json;
        let tables = || vec![table("shop.users", &["mail"]), table("shop.orders", &["mail"])];
        let found = |mask: &[&str], rename: serde_json::Value| {
            let mask = ("mask", json!({"tables": mask, "columns": {"mail": "null"}}));
            let found = check(&built(&[mask, ("rename", rename)]), tables()).unwrap();
            found.into_iter().map(|finding| (finding.level, finding.what, finding.help)).collect::<Vec<_>>()
        };
        let exact = json!({"tables": {"shop.users": "crm.people"}});
        let (level, what, help) = found(&["crm.people"], exact.clone()).remove(0);
        assert_eq!(level, Level::Failed);
        assert!(what.contains("`transform.mask.tables`") && what.contains("gives table shop.users the name crm.people"), "{what}");
        assert!(what.contains("`rename`") && help.ends_with("shop.users"), "{what} {help}");
        for rename in [json!({"databases": {"shop": "crm"}}), json!({"patterns": [{"match": "shop\\.(.*)", "to": "crm.{1}"}]})] {
            assert_eq!(found(&["shop.users", "crm.*"], rename)[0].0, Level::Failed);
        }
        // A pattern for names of both sides is for those of the source.
        assert_eq!(found(&["*.*"], exact.clone()), []);
        let (level, what, _) = found(&["shop.users", "log.*"], exact.clone()).remove(0);
        assert_eq!((level, &*what), (Level::Warning, "mask.tables: no selected table matches \"log.*\""));
        let columns = json!({"tables": {"shop.users": "crm.people"}, "columns": [{"tables": ["crm.people"], "match": "mail", "to": "m"}]});
        assert_eq!(found(&["shop.users"], columns)[0].0, Level::Failed, "the columns of `rename` are those of the source's tables");
        let none = check(&built(&[("mask", json!({"tables": ["x.y"], "columns": {"mail": "null"}}))]), Vec::new()).unwrap();
        assert_eq!(none, [], "nothing can be said without a table");
        let unhelpful = refuse_failed(vec![Finding::failed("transform", "no", "")]).unwrap_err();
        assert!(unhelpful.help().is_some_and(|help| !help.is_empty()));
        // Every transform that chooses tables is looked at.
        for (name, settings) in [
            ("filter", json!({"tables": ["crm.people"], "where": "id > 1"})),
            ("operations", json!({"tables": ["crm.people"], "keep": ["insert"]})),
            ("add_columns", json!({"tables": ["crm.people"], "columns": [{"name": "x", "type": "int", "value": "1"}]})),
            ("etl", json!({"tables": ["crm.people"], "script": "e_set(`x`, 1)"})),
            ("columns", json!({"tables": ["crm.people"], "exclude": ["mail"]})),
        ] {
            let found = check(&built(&[(name, settings), ("rename", exact.clone())]), tables()).unwrap();
            let error = refuse_failed(found).unwrap_err();
            assert!(error.code() == Some("E_TRANSFORM") && error.help().unwrap().contains("shop.users"), "{name}: {error}");
        }
    }

    #[test]
    fn only_what_every_version_of_the_tables_shows_is_found() {
        let mask = serde_json::json!({"tables": ["shop.users", "shop.log"], "columns": {"mail": "null"}});
        let found = |tables: &[Arc<TableSchema>]| {
            let found = check_versions(&built(&[("mask", mask.clone())]), tables.iter()).unwrap();
            found.into_iter().map(|finding| finding.what).collect::<Vec<_>>().join("; ")
        };
        let (with, without) = (table("shop.users", &["mail"]), table("shop.users", &["name"]));
        let log = table("shop.log", &["mail"]);
        assert_eq!(found(&[with.clone(), without.clone(), log.clone()]), "");
        assert_eq!(found(&[log.clone(), without.clone(), with.clone(), without.clone()]), "");
        assert!(found(&[without.clone(), log]).contains("table shop.users has no column `mail`"));
        assert_eq!(found(&[with, without]), "mask.tables: no selected table matches \"shop.log\"");
        assert_eq!(found(&[]), "");
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
