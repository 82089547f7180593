//! Tests with the binlog files that the CDC component of PolarDB-X has written.

use std::path::{Path, PathBuf};

use runtime::{Body, Checkpoint, Commit, Kind, Progress, Receipt, Settings};
use serde_json::json;

use super::*;

const BASE: &str = "CREATE DATABASE shop DEFAULT CHARACTER SET utf8mb4;\n\
                    CREATE TABLE shop.base_t (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(32));";

fn captured(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captured/polardbx").join(set)
}

/// A folder with copies of the small files.
fn copies() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(captured("small")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn source(files: &Path, schema: &str) -> BinlogFilesSource {
    let path = files.join("schema.sql");
    std::fs::write(&path, schema).unwrap();
    let keys = json!({"files": [files.join("binlog.*")], "tables": ["shop.*"], "start_schema": path});
    BinlogFilesSource::new(Settings::from(keys).parse("source.binlog_files").unwrap()).unwrap()
}

/// The checkpoint behind `commit`.
fn behind(committed: &Committed, commit: &Commit) -> Committed {
    let mut committed = committed.clone();
    committed.apply(commit);
    committed
}

/// Reads everything from the checkpoint on. Returns the rows and statements, each with its number, and all positions at which reading could
/// continue, each with the count of events before it.
async fn read(source: &BinlogFilesSource, committed: &Committed) -> Result<(Vec<String>, Vec<(Position, usize)>), Error> {
    let context = Context::testing("t");
    let plan = source.plan(&context, committed).await?;
    let Some(split) = plan.splits.first() else { return Ok((Vec::new(), Vec::new())) };
    let mut reader = source.open(&context, split, committed).await?;
    let (mut events, mut positions) = (Vec::new(), Vec::new());
    while let Some(batch) = reader.next().await? {
        for event in &batch.events {
            let body = match &event.body {
                Body::Row(change) => change.to_json().unwrap().to_string(),
                Body::Schema(change) => change.statement.to_string(),
                other => format!("{other:?}"),
            };
            events.push(format!("{:?} {} {body}", event.seq, event.timestamp_ms));
        }
        positions.extend(batch.resume.map(|resume| (resume, events.len())));
    }
    Ok((events, positions))
}

async fn begun(source: &BinlogFilesSource) -> Result<Committed, Error> {
    let plan = source.plan(&Context::testing("t"), &Committed::default()).await?;
    let splits = plan.splits.iter().map(|split| {
        let checkpoint = Checkpoint { position: split.start.clone(), receipt: Receipt::default(), done: false };
        Progress { split: split.id.clone(), number: 1, checkpoint, schemas: Vec::new() }
    });
    let commit = Commit { splits: splits.collect(), facts: plan.facts, schemas: plan.schemas, ..Commit::default() };
    Ok(behind(&Committed::default(), &commit))
}

#[tokio::test]
async fn the_captured_files_give_what_they_hold() {
    let folder = copies();
    let source = source(folder.path(), BASE);
    let (events, positions) = read(&source, &begun(&source).await.unwrap()).await.unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&std::fs::read(captured("expected.json")).unwrap()).unwrap();
    let rows: usize =
        expected["small"]["transactions"].as_array().unwrap().iter().map(|one| one["rows"].as_array().map_or(0, Vec::len)).sum();
    let found = events.iter().filter(|event| event.contains("\"op\":")).count();
    assert!(rows > 0 && found == rows, "{found} of {rows}");
    let last = StreamPosition::parse(positions.last().unwrap().0.as_str()).unwrap();
    assert_eq!((last.at.file, last.at.offset), (8, 11_381));
}
