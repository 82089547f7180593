//! The server that Debezium reads, the tables, and what it reads of them first.

use super::super::draft::{Draft, Section};
use super::super::options::Options;
use super::super::patterns;
use super::super::toml::Item;
use super::reference;

pub(super) fn import(options: &mut Options, draft: &mut Draft) {
    let host = reference(options, draft, "database.hostname", "DB_HOST");
    draft.source.set("host", host);
    if let Some(port) = options.take_int("database.port").filter(|port| (1..=65535).contains(port)) {
        draft.source.set("port", Item::Int(port));
    }
    let user = reference(options, draft, "database.user", "DB_USER");
    draft.source.set("user", user);
    options.take_secret("database.password");
    let source = &mut draft.source;
    source.note("set DB_PASSWORD in the environment; the password itself is not copied");
    source.set("password", Item::env("DB_PASSWORD"));
    tls(options, source);
    if options.take_bool("database.allowPublicKeyRetrieval") == Some(true) {
        source.set("allow_public_key_retrieval", Item::Bool(true));
    }
    tables(options, source);
    snapshot(options, source);
    if let Some(id) = options.take_int("database.server.id").filter(|id| (1..=i64::from(u32::MAX)).contains(id)) {
        source.note("the server id is the connector's, so stop it before the task starts; without the key another one is chosen");
        source.set("server_id", Item::Int(id));
    }
    if let Some(rows) = options.take_int("incremental.snapshot.chunk.size").filter(|rows| *rows > 0) {
        source.set("chunk_rows", Item::Int(rows));
    }
    if let Some(threads) = options.take_int("snapshot.max.threads").filter(|threads| *threads > 1) {
        source.set("parallelism", Item::Int(threads.min(64)));
    }
}

fn tls(options: &mut Options, source: &mut Section) {
    let mode = options.take("database.ssl.mode").map(|mode| mode.to_ascii_lowercase());
    let stores = options.take_prefix("database.ssl.");
    let mode = match mode.as_deref() {
        // Debezium's default is "preferred"; what it says by itself is not repeated.
        None => return,
        Some("disabled" | "disable") => "disabled",
        Some("preferred") => "preferred",
        Some("required") => "required",
        Some("verify_ca") => "verify_ca",
        Some("verify_identity") => "verify_identity",
        Some(_) => {
            source.missing("`database.ssl.mode` is not known: choose the mode of `tls`");
            "verify_identity"
        }
    };
    if stores.iter().any(|(_, text)| !text.trim().is_empty()) {
        source.note(
            "a Java keystore cannot be read: export its certificates to PEM files and add ca = \"ca.pem\", and cert and key for a client \
             certificate",
        );
    }
    source.set("tls", Item::map([("mode", Item::text(mode))]));
}

/// Regular expressions for databases or tables, by the option and its older name.
fn list(options: &mut Options, names: [&str; 2]) -> Vec<String> {
    options.take_any(&names).map(|text| patterns::split(&text, &[','])).unwrap_or_default()
}

fn entries(source: &mut Section, option: &str, expressions: &[String]) -> Vec<String> {
    let mut entries = Vec::new();
    for expression in expressions {
        let table = patterns::table(expression);
        if let Some(problem) = table.problem {
            source.missing(format!("an entry of `{option}` cannot be used as it is, so rewrite it: {problem}"));
        }
        entries.push(table.pattern);
    }
    entries
}

/// A database's expression as one for all its tables.
fn all_of(database: &String) -> String {
    if database.contains('|') { format!("(?:{database})\\..*") } else { format!("{}\\..*", database.trim_end_matches('$')) }
}

fn tables(options: &mut Options, source: &mut Section) {
    let databases = list(options, ["database.include.list", "database.whitelist"]);
    let no_databases = list(options, ["database.exclude.list", "database.blacklist"]);
    let tables = list(options, ["table.include.list", "table.whitelist"]);
    let no_tables = list(options, ["table.exclude.list", "table.blacklist"]);
    let of_databases: Vec<_> = databases.iter().map(all_of).collect();
    let selected = match (databases.is_empty(), tables.is_empty()) {
        (true, true) => vec!["*.*".to_owned()],
        (false, true) => entries(source, "database.include.list", &of_databases),
        (_, false) => {
            let tables = entries(source, "table.include.list", &tables);
            let of_databases = entries(source, "database.include.list", &of_databases);
            let is_inside = |table: &String| {
                of_databases.iter().any(|database| {
                    database == "*.*" || database.split('.').next().is_some_and(|name| table.split('.').next() == Some(name))
                })
            };
            if !databases.is_empty() && !tables.iter().all(is_inside) {
                source.missing("the connector took a table only if `database.include.list` had its database as well: compare the two");
            }
            tables
        }
    };
    source.set("tables", Item::texts(selected));
    let of_databases: Vec<_> = no_databases.iter().map(all_of).collect();
    let mut excluded = entries(source, "database.exclude.list", &of_databases);
    excluded.extend(entries(source, "table.exclude.list", &no_tables));
    if !excluded.is_empty() {
        source.set("exclude", Item::texts(excluded));
    }
}

fn snapshot(options: &mut Options, source: &mut Section) {
    let phases: &[&str] = match options.take("snapshot.mode").map(|mode| mode.to_ascii_lowercase()).as_deref() {
        None | Some("initial") => &["full", "incremental"],
        Some("initial_only") => &["full"],
        Some("schema_only" | "no_data") => &["incremental"],
        Some("never") => {
            source.set("phases", Item::texts(["incremental"]));
            source.note("the connector began at the oldest binlog; without the next key the task would start at the end of the newest");
            source.set("start.earliest", Item::map::<String>([]));
            return;
        }
        Some("when_needed" | "always") => {
            source.note("existing rows are read once, when the task is new; `connector-cli` says so if the binlog that it needs is gone");
            &["full", "incremental"]
        }
        Some("schema_only_recovery" | "recovery") => {
            source.note("the connector was rebuilding its schema history, which this program has in its checkpoint");
            &["incremental"]
        }
        Some(_) => {
            source.missing("this `snapshot.mode` has no counterpart: choose the phases");
            &["full", "incremental"]
        }
    };
    source.set("phases", Item::texts(phases.iter().copied()));
}
