//! The server that Canal reads, and what it selects there.

use super::super::draft::{Draft, Plugin, Section};
use super::super::options::{Options, item};
use super::super::patterns;
use super::super::time;
use super::super::toml::Item;

pub(super) fn import(options: &mut Options, draft: &mut Draft) {
    address(options, &mut draft.source);
    tables(options, &mut draft.source);
    draft.source.note("Canal reads changes only; with \"full\" before \"incremental\" the rows that are there come first");
    draft.source.set("phases", Item::texts(["incremental"]));
    start(options, &mut draft.source);
    operations(options, draft);
    columns(options, draft);
}

fn address(options: &mut Options, source: &mut Section) {
    match options.take("canal.instance.master.address") {
        Some(address) => {
            let (host, port) = match address.rsplit_once(':') {
                Some((host, port)) if port.parse::<u16>().is_ok() => (host.to_owned(), port.parse::<i64>().ok()),
                _ => (address, None),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = item(source, "canal.instance.master.address", host, "DB_HOST");
            source.set("host", host);
            if let Some(port) = port {
                source.set("port", Item::Int(port));
            }
        }
        None => {
            source.missing("the file names no server: set DB_HOST to its address, or write it here");
            source.set("host", Item::env("DB_HOST"));
        }
    }
    let user = match options.take("canal.instance.dbUsername") {
        Some(user) => item(source, "canal.instance.dbUsername", &user, "DB_USER"),
        None => Item::env("DB_USER"),
    };
    source.set("user", user);
    options.take_secret("canal.instance.dbPassword");
    let is_encrypted = options.take_bool("canal.instance.enableDruid") == Some(true);
    options.take_secret("canal.instance.pwdPublicKey");
    let how = if is_encrypted { "; the file has it encrypted, and here it is needed as it is" } else { "" };
    source.note(format!("set DB_PASSWORD in the environment; the password itself is not copied{how}"));
    source.set("password", Item::env("DB_PASSWORD"));
    if let Some(id) = options.take_int("canal.instance.mysql.slaveId").filter(|id| (1..=i64::from(u32::MAX)).contains(id)) {
        source.note("the server id is Canal's, so stop Canal before the task starts; without the key another one is chosen");
        source.set("server_id", Item::Int(id));
    }
    options.take("canal.instance.defaultDatabaseName");
}

fn tables(options: &mut Options, source: &mut Section) {
    let mut list = |option: &str, key: &str, default: Option<&str>| {
        let text = options.take(option).or_else(|| default.map(str::to_owned));
        let Some(text) = text else { return };
        let mut entries = Vec::new();
        for expression in patterns::split(&text, &[',']) {
            let table = patterns::table(&expression);
            if let Some(problem) = table.problem {
                source.missing(format!("an entry of `{option}` cannot be used as it is, so rewrite it: {problem}"));
            }
            entries.push(table.pattern);
        }
        if !entries.is_empty() {
            source.set(key, Item::texts(entries));
        }
    };
    list("canal.instance.filter.regex", "tables", Some(r".*\..*"));
    list("canal.instance.filter.black.regex", "exclude", None);
    if source.get("tables").is_none() {
        source.set("tables", Item::texts(["*.*"]));
    }
}

fn start(options: &mut Options, source: &mut Section) {
    let file = options.take("canal.instance.master.journal.name");
    let offset = options.take_int("canal.instance.master.position").filter(|offset| *offset >= 4);
    let moment = options.take_int("canal.instance.master.timestamp").filter(|moment| *moment > 0);
    let gtid = options.take("canal.instance.master.gtid");
    let by_gtid = options.take_bool("canal.instance.gtidon") == Some(true);
    match (file, gtid, moment) {
        (_, Some(set), _) if by_gtid => source.set("start.gtid", Item::map([("set", Item::text(set))])),
        (Some(file), ..) => {
            let offset = offset.unwrap_or(4);
            source.set("start.position", Item::map([("file", Item::text(file)), ("offset", Item::Int(offset))]));
        }
        (None, _, Some(moment)) => {
            source.set("start.timestamp", Item::map([("at", Item::text(time::rfc3339(moment.div_euclid(1000))))]));
        }
        (None, None, None) if by_gtid => source.note(
            "`start.gtid = { set = \"…\" }` starts behind the transactions that Canal has delivered (meta.dat); without it the task starts at \
             the end of the binlog",
        ),
        _ => source.note(
            "the task starts at the end of the binlog; to begin where Canal stopped, write the position of its meta.dat as \
             `start.position = { file = \"…\", offset = … }`",
        ),
    }
}

fn operations(options: &mut Options, draft: &mut Draft) {
    let mut drops = |name: &str| options.take_bool(&format!("canal.instance.filter.{name}")) == Some(true);
    let all_rows = drops("query.dml");
    let dropped = [drops("dml.insert"), drops("dml.update"), drops("dml.delete"), drops("query.ddl")];
    let rows = drops("rows");
    let names = ["insert", "update", "delete", "ddl"];
    let kept: Vec<_> =
        names.into_iter().zip(dropped).filter(|(name, drop)| !drop && (*name == "ddl" || !rows)).map(|(name, _)| name).collect();
    drops("query.dcl");
    if drops("table.error") {
        draft.leave("canal.instance.filter.table.error", "a table that cannot be read stops the task; it is not passed over");
    }
    // Begin and commit are records of Canal's own protocol; its JSON has none.
    drops("transaction.entry");
    if all_rows {
        draft.leave("canal.instance.filter.query.dml", "statements of rows are not delivered anyway, only the rows");
    }
    if kept.len() < names.len() {
        draft.transform(Plugin::Operations, [("tables", Item::texts(["*.*"])), ("keep", Item::texts(kept))]);
    }
}

/// `schema.table:column/column,…`.
fn columns(options: &mut Options, draft: &mut Draft) {
    for (option, key) in [("canal.instance.filter.field", "include"), ("canal.instance.filter.black.field", "exclude")] {
        let Some(text) = options.take(option) else { continue };
        for entry in patterns::split(&text, &[',']) {
            let Some((table, columns)) = entry.rsplit_once(':') else {
                draft.source.missing(format!("an entry of `{option}` is not table:column/column; write a `columns` transform for it"));
                continue;
            };
            let table = patterns::table(table);
            if let Some(problem) = table.problem {
                draft.source.missing(format!("a table of `{option}` cannot be used as it is, so rewrite it: {problem}"));
            }
            let columns = columns.split('/').map(str::trim).filter(|column| !column.is_empty());
            draft.transform(Plugin::Columns, [("tables", Item::texts([table.pattern])), (key, Item::texts(columns))]);
        }
    }
}
