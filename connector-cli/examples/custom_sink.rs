//! A sink of your own under the stock program: rows as lines of JSON, one file a split, nothing repeated after a crash.
//!
//! `cargo run -p connector-cli --example custom_sink -- run task.toml`, with `[sink.json_lines] directory = "rows"`.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use runtime::{Batch, Body, Context, Error, Receipt, Result, ResumeFilter, Sink, SplitKind, async_trait};

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    directory: PathBuf,
}

struct JsonLines {
    config: Config,
    open: Option<(File, ResumeFilter)>,
}

#[async_trait]
impl Sink for JsonLines {
    async fn open(&mut self, context: &Context, _: &Receipt) -> Result<()> {
        let lane = context.lane().ok_or_else(|| Error::fatal("the sink was opened without a lane"))?;
        fs::create_dir_all(&self.config.directory).map_err(failed)?;
        let path = self.config.directory.join(format!("{}.jsonl", lane.number));
        let mut filter = ResumeFilter::new(lane);
        let mut file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path).map_err(failed)?;
        let mut end = 0;
        // A chunk of existing rows is read again from its start, so its file is emptied. The file of a stream keeps all lines that are whole.
        if lane.kind == SplitKind::Stream {
            let text = fs::read(&path).map_err(failed)?;
            end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in text[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let tag = line.split(|byte| *byte == b' ').next().and_then(|tag| str::from_utf8(tag).ok()?.parse().ok());
                filter.found(tag.ok_or_else(|| Error::fatal(format!("{} holds a line without a tag", path.display())))?);
            }
        }
        file.set_len(end as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        self.open = Some((file, filter));
        Ok(())
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        let (file, filter) = self.open.as_mut().ok_or_else(|| Error::fatal("the sink is not open"))?;
        let mut lines = Vec::new();
        for event in batch.events.iter().filter(|event| !filter.is_delivered(event)) {
            if let Body::Row(change) = &event.body {
                let json = change.to_json().map_err(|error| error.of_event(event))?;
                writeln!(lines, "{} {json}", filter.tag(event)).map_err(failed)?;
            }
        }
        file.write_all(&lines).and_then(|()| file.sync_data()).map_err(failed)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::retryable("a file of rows cannot be read or written").because(error)
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let mut registry = connector_cli::bundled();
    registry.sink("json_lines", |config: Config| Ok(JsonLines { config, open: None }));
    connector_cli::run(registry, std::env::args_os()).await
}
