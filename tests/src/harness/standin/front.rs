//! A session: the commands of a client, and what becomes of each.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::answers::{self, NODE_SOCKET};
use super::ddl::{Class, alter_hidden, carrying, class_of, for_mysql, read_alter};
use super::dialect::{HIDDEN_KEY, Remembered, read_create_table, text_of};
use super::dump::{self, Dump};
use super::errors::{PARSER, own_error, parser_error, privilege_error, translated, unknown_command};
use super::follow::{Handle, Request};
use super::general_log::{GeneralLog, Outcome};
use super::relay::{Answered, Form, Relay};
use super::shown_events;
use super::sql::{Kind, Token, begins, behind_parentheses, plain_tokens, table_name, tokens};
use super::statement::{SetPlan, insert_without_columns, plan_set, select_all, show_variables, with_literals};
use super::store::{Store, Upstream};
use super::switches::Switches;
use super::wire::{Client, OK, Rows, cell, read_message, send};
use crate::{Failure, Result};

/// What all sessions share.
pub(super) struct Shared {
    socket: PathBuf,
    server_id: u32,
    store: Arc<Store>,
    /// The names and the files of the streams.
    streams: Vec<(String, Arc<Store>)>,
    switches: Switches,
    handle: Handle,
    log: GeneralLog,
    uuids: AtomicU64,
    /// Whether there may be a table with a hidden key. Without one, nobody has to look for it.
    has_hidden: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        socket: PathBuf,
        server_id: u32,
        store: Arc<Store>,
        streams: Vec<(String, Arc<Store>)>,
        switches: Switches,
        handle: Handle,
        log: GeneralLog,
    ) -> Self {
        Self { socket, server_id, store, streams, switches, handle, log, uuids: AtomicU64::new(0), has_hidden: AtomicBool::new(true) }
    }

    /// The files of a stream; of the global binlog if there is no such stream.
    fn store_of(&self, stream: &str) -> &Arc<Store> {
        self.streams.iter().find(|(name, _)| name == stream).map_or(&self.store, |(_, store)| store)
    }

    /// Finds out whether there is a table with a hidden key.
    pub(super) async fn look_for_hidden_keys(&self) -> Result<()> {
        let sql = format!("SELECT COUNT(*) FROM information_schema.COLUMNS WHERE COLUMN_NAME = '{HIDDEN_KEY}'");
        let count = self.root().await?.query(&sql).await?.text(0, 0);
        self.has_hidden.store(count != "0", Ordering::Relaxed);
        Ok(())
    }

    async fn root(&self) -> Result<Client> {
        Client::connect(&self.socket).await
    }

    /// The end of MySQL's own binlog.
    async fn upstream(&self) -> Result<Upstream> {
        let rows = self.root().await?.query("SHOW MASTER STATUS").await?;
        Ok((rows.text(0, 0), rows.text(0, 1).parse()?))
    }

    /// The visible columns of a table with a hidden key; `None` for every other table.
    async fn columns_beside_hidden_key(&self, database: &str, table: &str) -> Result<Option<Vec<String>>> {
        if !self.has_hidden.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let sql = format!(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{}' AND TABLE_NAME = '{}' ORDER BY ORDINAL_POSITION",
            database.replace('\'', "''"),
            table.replace('\'', "''")
        );
        let rows = self.root().await?.query(&sql).await?;
        let mut names: Vec<String> = (0..rows.rows.len()).map(|row| rows.text(row, 0)).collect();
        let count = names.len();
        names.retain(|name| name != HIDDEN_KEY);
        Ok((names.len() < count).then_some(names))
    }

    /// The `server_uuid` of the data node that answers, if the switch makes it change.
    fn uuid(&self) -> Option<String> {
        let count = self.uuids.fetch_add(1, Ordering::Relaxed);
        self.switches.is_on("server_uuid_changes").then(|| format!("00000000-0000-4000-8000-{count:012x}"))
    }
}

struct Session {
    relay: Relay,
    shared: Arc<Shared>,
    user: String,
    database: String,
}

/// Serves a client until it leaves.
pub(super) async fn serve(client: TcpStream, shared: Arc<Shared>) -> Result<()> {
    let Some((relay, user, database)) = Relay::login(client, &shared.socket).await? else {
        return Ok(());
    };
    let mut session = Session { relay, shared, user, database };
    while let Some((_, command)) = read_message(&mut session.relay.client).await? {
        if !session.command(&command).await? {
            break;
        }
    }
    Ok(())
}

impl Session {
    /// Answers a command; returns whether the session continues.
    async fn command(&mut self, command: &[u8]) -> Result<bool> {
        let (code, payload) = command.split_first().ok_or_else(|| Failure::new("an empty command"))?;
        let text = String::from_utf8_lossy(payload).into_owned();
        match code {
            1 => {
                send(&mut self.relay.upstream, 0, command).await?;
                return Ok(false);
            }
            2 => {
                let answered = self.relay.forward(command, Form::Results, false).await?;
                if answered.is_none() {
                    self.database.clone_from(&text);
                }
                self.log_done(answered, &format!("COM_INIT_DB {text}"))?;
            }
            3 => {
                let (answered, is_cut) = self.query(payload, &text).await?;
                let outcome = match answered {
                    Some(PARSER) => Outcome::Rejected,
                    _ if is_cut => Outcome::Ignored,
                    _ => Outcome::Done,
                };
                self.shared.log.add(outcome, &self.user, &text)?;
            }
            7 | 0x11 | 0x1F => {
                self.relay.answer(&OK).await?;
                self.shared.log.add(Outcome::Ignored, &self.user, &format!("command {code:#04x}"))?;
            }
            0x15 => {
                self.relay.answer(&OK).await?;
                self.shared.log.add(Outcome::Done, &self.user, "COM_REGISTER_SLAVE")?;
            }
            14 => {
                let answered = self.relay.forward(command, Form::Results, true).await?;
                self.log_done(answered, "COM_PING")?;
            }
            0x12 => return self.dump(payload).await,
            0x16 => {
                let changed = self.changed(&text).await?.unwrap_or_else(|| text.clone());
                let answered = self.relay.forward(&[&[0x16], changed.as_bytes()].concat(), Form::Prepared, true).await?;
                self.log_done(answered, &text)?;
            }
            0x17 => drop(self.relay.forward(command, Form::BinaryResults, true).await?),
            0x1A => drop(self.relay.forward(command, Form::Results, true).await?),
            0x1C => drop(self.relay.forward(command, Form::Rows, true).await?),
            // Neither of these has an answer.
            0x18 | 0x19 => send(&mut self.relay.upstream, 0, command).await?,
            _ => {
                self.relay.answer(&unknown_command()).await?;
                self.shared.log.add(Outcome::Rejected, &self.user, &format!("command {code:#04x}"))?;
            }
        }
        Ok(true)
    }

    fn log_done(&self, answered: Answered, text: &str) -> Result<()> {
        self.shared.log.add(if answered == Some(PARSER) { Outcome::Rejected } else { Outcome::Done }, &self.user, text)
    }

    /// Asks MySQL, changes the rows and answers with them.
    async fn ask_and_change(&mut self, sql: &str, change: impl FnOnce(Rows) -> Rows) -> Result<Answered> {
        match self.relay.ask(sql).await? {
            Ok(rows) => self.relay.answer_rows(&change(rows)).await,
            Err(error) => self.relay.answer(&translated(&error)).await,
        }
    }

    /// Whether the account has a privilege of the whole instance.
    async fn has_privilege(&mut self, privilege: &str) -> Result<bool> {
        let Ok(rows) = self.relay.ask("SHOW GRANTS").await? else {
            return Ok(false);
        };
        let grants = (0..rows.rows.len()).map(|row| rows.text(row, 0));
        Ok(grants.filter(|grant| grant.contains(" ON *.* ")).any(|grant| grant.contains(privilege) || grant.contains("ALL PRIVILEGES")))
    }

    /// Answers a statement. Also returns whether something of it was not executed.
    async fn query(&mut self, bytes: &[u8], sql: &str) -> Result<(Answered, bool)> {
        let first = tokens(sql).find(|token| token.kind != Kind::Comment && !token.is("(")).map(|token| token.text.to_ascii_uppercase());
        let plain = |answered| Ok((answered, false));
        match first.as_deref().unwrap_or_default() {
            "SET" if class_of(&plain_tokens(sql)) == Class::Other => self.set(sql).await,
            "SHOW" | "DESC" | "DESCRIBE" => self.show(sql).await,
            "SELECT" if is_tso_question(sql) => plain(self.tso().await?),
            "SET" | "CREATE" | "ALTER" | "DROP" | "RENAME" | "TRUNCATE" | "GRANT" | "REVOKE" | "ANALYZE" | "CALL" | "REBALANCE"
            | "MERGE" => plain(self.ddl(sql).await?),
            "FLUSH" => self.flush(sql).await,
            "LOCK" | "UNLOCK" => Ok((self.relay.answer(&OK).await?, true)),
            "USE" => {
                let answered = self.relay.forward(&[&[3], bytes].concat(), Form::Results, false).await?;
                if let (None, Some(name)) = (answered, plain_tokens(sql).get(1)) {
                    self.database = name.name();
                }
                plain(answered)
            }
            "PURGE" => plain(self.purge(sql).await?),
            "RESET" => plain(self.relay.answer(&own_error("RESET is not imitated")).await?),
            _ => {
                let changed = self.changed(sql).await?;
                let text = changed.as_ref().map_or(bytes, |text| text.as_bytes());
                plain(self.relay.forward(&[&[3], text].concat(), Form::Results, true).await?)
            }
        }
    }

    /// A statement as MySQL has to get it, if that differs from what the client sent.
    async fn changed(&mut self, sql: &str) -> Result<Option<String>> {
        const LOOKED_AT: usize = 4096;
        let mut changed = None;
        let found = insert_without_columns(sql).map(|found| (found, true)).or_else(|| select_all(sql).map(|found| (found, false)));
        if let Some(((database, table, at), is_insert)) = found
            && let Some(columns) = self.shared.columns_beside_hidden_key(database.as_ref().unwrap_or(&self.database), &table).await?
        {
            let list = columns.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let (before, after) = sql.split_at(at);
            changed = Some(if is_insert { format!("{before} ({list}){after}") } else { format!("{before}{list}{}", &after[1..]) });
        }
        let begin = sql.get(..LOOKED_AT).unwrap_or(sql).to_ascii_lowercase();
        let is_select = begin.trim_start().starts_with("select");
        if is_select && ["version", "@@"].iter().any(|word| begin.contains(word)) {
            let comment = begin.trim().trim_end_matches(';').trim_end_matches("limit 1").trim_end().ends_with("select @@version_comment");
            let mut literals: Vec<(&[&str], String)> =
                vec![(&["VERSION", "(", ")"], format!("'{}'", super::VERSION)), (&["@@socket"], format!("'{NODE_SOCKET}'"))];
            if comment {
                literals.push((&["@@version_comment"], "'Tddl Server (ALIBABA)'".to_owned()));
            }
            if let Some(uuid) = self.shared.uuid() {
                literals.push((&["@@server_uuid"], format!("'{uuid}'")));
                literals.push((&["@@global", ".", "server_uuid"], format!("'{uuid}'")));
            }
            changed = with_literals(changed.as_deref().unwrap_or(sql), &literals).or(changed);
        }
        Ok(changed)
    }

    async fn set(&mut self, sql: &str) -> Result<(Answered, bool)> {
        match plan_set(sql) {
            SetPlan::Rejected => Ok((self.relay.answer(&parser_error()).await?, false)),
            SetPlan::Switches(switches) => {
                if self.user != "root" {
                    return Ok((self.relay.answer(&own_error("only root may set a switch")).await?, false));
                }
                for (name, value) in switches {
                    let done = if name == "sync" {
                        let end = self.shared.upstream().await?;
                        self.shared.handle.wait_until_written(&end).await
                    } else {
                        self.shared.switches.set(&name, &value)
                    };
                    if let Err(failure) = done {
                        return Ok((self.relay.answer(&own_error(&failure.to_string())).await?, false));
                    }
                }
                Ok((self.relay.answer(&OK).await?, false))
            }
            SetPlan::Run(None, is_cut) => Ok((self.relay.answer(&OK).await?, is_cut)),
            SetPlan::Run(Some(text), is_cut) => {
                Ok((self.relay.forward(&[&[3], text.as_bytes()].concat(), Form::Results, true).await?, is_cut))
            }
        }
    }

    async fn show(&mut self, sql: &str) -> Result<(Answered, bool)> {
        let all = plain_tokens(sql);
        let is = |index: usize, words: &[&str]| words.iter().any(|word| all.get(index).is_some_and(|token| token.is(word)));
        let is_full = is(1, &["FULL"]);
        let at = if is_full { 2 } else { 1 };
        let rest = all.get(at..).unwrap_or_default();
        let plain = |answered| Ok((answered, false));
        let is_logs = (is(at, &["BINARY", "MASTER"])) && is(at + 1, &["LOGS"]);
        let is_status = begins(rest, &["MASTER", "STATUS"]);
        let is_streams = begins(rest, &["BINARY", "STREAMS"]);
        if is_logs || is_status || is_streams {
            if !self.has_privilege("REPLICATION CLIENT").await? {
                return plain(self.relay.answer(&privilege_error("REPLICATION CLIENT")).await?);
            }
            let with = rest.get(2).filter(|token| token.is("WITH")).and(rest.get(3));
            let with = with.map(|token| token.text.trim_matches(['\'', '"', '`']).to_owned());
            let is_known = |name: &String| self.shared.streams.iter().any(|(stream, _)| is_streams || stream == name);
            if with.as_ref().is_some_and(|name| !is_known(name)) {
                return plain(self.relay.answer(&own_error("the stream does not exist")).await?);
            }
            if with.is_none() && !is_streams && !self.shared.switches.is_on("global_binlog") {
                return plain(self.ask_and_change(sql, answers::of_data_node).await?);
            }
            let age = Duration::from_millis(self.shared.switches.number("master_status_lag_ms"));
            let store = self.shared.store_of(with.as_deref().unwrap_or_default());
            let (files, end) = (store.files(), store.end(age));
            let rows = match (is_logs, is_status, is_full) {
                (true, _, false) => answers::binary_logs(&files),
                (true, _, true) => answers::full_binary_logs(&files),
                (_, true, false) => answers::master_status(end),
                (_, true, true) => answers::full_master_status(end, files.last().map_or("", |file| &file.last_tso)),
                _ => {
                    let wanted = |name: &str| with.as_ref().is_none_or(|group| name.starts_with(&format!("{group}_stream_")));
                    let streams = self.shared.streams.iter().filter(|(name, _)| wanted(name));
                    answers::binary_streams(streams.map(|(name, store)| (name.clone(), store.end(age))))
                }
            };
            return plain(self.relay.answer_rows(&rows).await?);
        }
        if begins(rest, &["BINLOG", "EVENTS"]) {
            return match shown_events::show(self.shared.store_of(""), rest.get(2..).unwrap_or_default()) {
                Ok(rows) => plain(self.relay.answer_rows(&rows).await?),
                Err(_) => plain(self.relay.answer(&own_error("show binlog events error!")).await?),
            };
        }
        if let Some((text, pattern, is_cut)) = show_variables(sql) {
            let uuid = self.shared.uuid();
            let answered = self.ask_and_change(&text, |rows| answers::variables(rows, uuid.as_deref(), pattern.as_deref())).await?;
            return Ok((answered, is_cut));
        }
        if is(at, &["DATABASES", "SCHEMAS"]) {
            return plain(self.ask_and_change(sql, answers::databases).await?);
        }
        if is_full && is(at, &["TABLES"]) {
            let database = if is(at + 1, &["FROM", "IN"]) { all.get(at + 2).map(Token::name) } else { None };
            let database = database.unwrap_or_else(|| self.database.clone());
            let views =
                if self.database.is_empty() { Rows::default() } else { self.relay.ask("SHOW FULL TABLES").await?.unwrap_or_default() };
            return plain(self.ask_and_change(sql, |rows| answers::full_tables(&database, &rows, &views)).await?);
        }
        if begins(rest, &["CREATE", "TABLE"]) {
            return plain(self.ask_and_change(sql, answers::create_table).await?);
        }
        if is(at, &["GRANTS"]) {
            return plain(self.ask_and_change(sql, answers::grants).await?);
        }
        if is(0, &["DESC", "DESCRIBE"]) || is(at, &["COLUMNS", "FIELDS"]) {
            return plain(self.ask_and_change(sql, |rows| answers::without_hidden_key(rows, 0)).await?);
        }
        if is(at, &["INDEX", "INDEXES", "KEYS"]) {
            return plain(self.ask_and_change(sql, |rows| answers::without_hidden_key(rows, 4)).await?);
        }
        // One data node answers this one, which says nothing about the clients of CDC.
        let is_meaningless = begins(rest, &["SLAVE", "HOSTS"]);
        let answered = self.relay.forward(&[&[3], sql.as_bytes()].concat(), Form::Results, true).await?;
        Ok((answered, is_meaningless))
    }

    async fn tso(&mut self) -> Result<Answered> {
        let end = self.shared.upstream().await?;
        let (answer, tso) = tokio::sync::oneshot::channel();
        self.shared.handle.requests.send(Request::Tso(end, answer)).map_err(|_| Failure::new("the follower has ended"))?;
        let mut rows = Rows::new(&["TSO_TIMESTAMP()"]);
        rows.rows.push(vec![cell(tso.await?)]);
        self.relay.answer_rows(&rows).await
    }

    async fn flush(&mut self, sql: &str) -> Result<(Answered, bool)> {
        let all = plain_tokens(sql);
        if all.iter().any(|token| token.is("LOGS")) {
            // What was committed before belongs into the old file.
            let end = self.shared.upstream().await?;
            self.shared.handle.wait_until_written(&end).await?;
            self.shared.handle.requests.send(Request::FlushLogs).map_err(|_| Failure::new("the follower has ended"))?;
            return Ok((self.relay.answer(&OK).await?, false));
        }
        if begins(&all, &["FLUSH", "TABLES"]) || begins(&all, &["FLUSH", "TABLE"]) {
            return Ok((self.relay.answer(&OK).await?, true));
        }
        Ok((self.relay.forward(&[&[3], sql.as_bytes()].concat(), Form::Results, true).await?, false))
    }

    async fn purge(&mut self, sql: &str) -> Result<Answered> {
        let all = plain_tokens(sql);
        let name =
            all.last().filter(|last| last.kind == Kind::Text && self.user == "root").map(|last| last.text.trim_matches('\'').to_owned());
        let purged = match name {
            Some(name) => self.shared.store.purge_to(&name),
            None => Failure::err("only PURGE BINARY LOGS TO 'file' is imitated, and only for root"),
        };
        match purged {
            Ok(()) => self.relay.answer(&OK).await,
            Err(failure) => self.relay.answer(&own_error(&failure.to_string())).await,
        }
    }

    async fn ddl(&mut self, sql: &str) -> Result<Answered> {
        let all = plain_tokens(sql);
        let mysql = match class_of(&all) {
            Class::Other | Class::CommentOnly => return self.relay.forward(&[&[3], sql.as_bytes()].concat(), Form::Results, true).await,
            Class::Foreign => {
                // No statement for MySQL belongs to this one, so root executes one that changes nothing but is in the binlog.
                let statement = carrying(&self.database, sql, "CREATE DATABASE IF NOT EXISTS mysql");
                return match self.shared.root().await?.query(&statement).await {
                    Ok(_) => self.relay.answer(&OK).await,
                    Err(failure) => self.relay.answer(&own_error(&failure.to_string())).await,
                };
            }
            Class::Public => self.public_ddl(sql, &all).await,
            Class::OfTable => self.table_ddl(sql, &all).await,
        };
        match mysql {
            Ok(mysql) => {
                let statement = carrying(&self.database, sql, &mysql);
                self.relay.forward(&[&[3], statement.as_bytes()].concat(), Form::Results, true).await
            }
            Err(failure) => self.relay.answer(&own_error(&failure.to_string())).await,
        }
    }

    /// The statement for MySQL of DDL that both servers know.
    async fn public_ddl(&self, sql: &str, all: &[Token<'_>]) -> Result<String> {
        if let Some(altered) = read_alter(all) {
            let database = altered.database.as_ref().unwrap_or(&self.database);
            if let Some(columns) = self.shared.columns_beside_hidden_key(database, &altered.table).await? {
                let last = columns.last().ok_or_else(|| Failure::new("a table without columns"))?;
                return alter_hidden(sql, &altered, last);
            }
        }
        if read_create_table(sql)?.is_some_and(|created| created.is_hidden) {
            self.shared.has_hidden.store(true, Ordering::Relaxed);
        }
        for_mysql(sql)
    }

    /// The statement for MySQL of DDL that only PolarDB-X knows: what it says is remembered in the comment of the table.
    async fn table_ddl(&self, sql: &str, all: &[Token<'_>]) -> Result<String> {
        let at = if begins(all, &["ALTER"]) { 2 } else { all.iter().position(|token| token.is("ON")).map_or(all.len(), |on| on + 1) };
        let (database, table, length) = all.get(at..).and_then(table_name).ok_or_else(|| Failure::new("the statement names no table"))?;
        let name = text_of(sql, all.get(at..at + length).unwrap_or_default());
        let text = |text: &str| text.replace('\\', "\\\\").replace('\'', "''");
        let question = format!(
            "SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}' AND TABLE_NAME = '{}'",
            text(database.as_ref().unwrap_or(&self.database)),
            text(&table)
        );
        let comment = self.shared.root().await?.query(&question).await?.text(0, 0);
        let (user, mut remembered) = Remembered::of_comment(&comment);
        let mut index = String::new();
        if let Some(altered) = read_alter(all) {
            for item in altered.items.iter().filter(|item| super::dialect::is_tail(item)) {
                remembered.tail = text_of(sql, item);
            }
        } else if begins(all, &["CREATE"]) {
            let open = at + length;
            let columns = text_of(sql, all.get(open..behind_parentheses(all, open)).unwrap_or_default());
            let global = all.get(at - 2).map(Token::name).unwrap_or_default();
            let unique = if all.get(1).is_some_and(|token| token.is("UNIQUE")) { "UNIQUE " } else { "" };
            index = format!("ADD {unique}INDEX `{global}` {columns}, ");
            remembered.global.push(global);
        }
        Ok(format!("ALTER TABLE {name} {index}COMMENT='{}'", text(&remembered.comment(user)?)))
    }

    async fn dump(&mut self, payload: &[u8]) -> Result<bool> {
        if !self.has_privilege("REPLICATION SLAVE").await? {
            self.relay.answer(&privilege_error("REPLICATION SLAVE")).await?;
            return Ok(true);
        }
        let mut dump = Dump::read(payload)?;
        let rows =
            self.relay.ask("SELECT @master_binlog_checksum, @master_heartbeat_period").await?.map_err(|_| Failure::new("no variables"))?;
        let value = |column: usize| {
            rows.rows.first().and_then(|row| row.get(column)?.clone()).map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        (dump.checksum, dump.heartbeat) = (value(0), value(1));
        self.shared.log.add(Outcome::Done, &self.user, &format!("COM_BINLOG_DUMP {}:{}", dump.file, dump.position))?;
        // The stream is chosen by the name of the file, up to its last underscore.
        let store = self.shared.store_of(dump.file.rsplit_once('_').map_or("", |(stream, _)| stream)).clone();
        let (mut from, mut to) = self.relay.client.split();
        let mut ignored = [0; 1024];
        // A client ends a dump by closing its connection; KILL closes the one to MySQL.
        let leaves = async { while from.read(&mut ignored).await.is_ok_and(|count| count > 0) {} };
        let mut unexpected = [0; 64];
        let is_killed = async { while self.relay.upstream.read(&mut unexpected).await.is_ok_and(|count| count > 0) {} };
        tokio::select! {
            ended = dump::serve(&mut to, dump, &store, &self.shared.switches, self.shared.server_id) => ended?,
            () = leaves => {}
            () = is_killed => {}
        }
        Ok(false)
    }
}

fn is_tso_question(sql: &str) -> bool {
    let all = plain_tokens(sql);
    begins(&all, &["SELECT", "TSO_TIMESTAMP", "(", ")"])
}
