//! The answers to SHOW statements that a compute node gives in a form of its own.

use chrono::{DateTime, Utc};

use super::dialect::{HIDDEN_KEY, print_table};
use super::store::FileInfo;
use super::wire::{Cell, Rows, cell, text_column};

/// The socket file that the session variable names. It is a data node's, so no client can reach it.
pub(super) const NODE_SOCKET: &str = "/run/data-node.sock";

/// SHOW MASTER STATUS.
pub(super) fn master_status(end: (String, u64)) -> Rows {
    let mut rows = Rows::new(&["File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"]);
    rows.rows.push(vec![cell(end.0), cell(end.1), cell(""), cell(""), cell("")]);
    rows
}

/// SHOW FULL MASTER STATUS.
pub(super) fn full_master_status(end: (String, u64), last_tso: &str) -> Rows {
    const RATES: [&str; 8] =
        ["DelayTimeMs", "AvgRevEps", "AvgRevBps", "AvgWriteEps", "AvgWriteBps", "AvgWriteTps", "AvgUploadBps", "AvgDumpBps"];
    let columns = [["File", "Position", "LastTso"].as_slice(), &RATES, &["ExtInfo"]].concat();
    let mut rows = Rows::new(&columns);
    let mut row = vec![cell(end.0), cell(end.1), cell(last_tso)];
    row.extend(RATES.map(|_| cell(0)));
    row.push(cell(""));
    rows.rows.push(row);
    rows
}

/// SHOW BINARY LOGS.
pub(super) fn binary_logs(files: &[FileInfo]) -> Rows {
    let mut rows = Rows::new(&["Log_name", "File_size"]);
    rows.rows = files.iter().map(|file| vec![cell(&file.name), cell(file.size)]).collect();
    rows
}

/// SHOW FULL BINARY LOGS.
pub(super) fn full_binary_logs(files: &[FileInfo]) -> Rows {
    let mut rows = Rows::new(&[
        "Log_name",
        "File_size",
        "Create_time",
        "Last_modify_time",
        "First_event_time",
        "Last_event_time",
        "Last_tso",
        "Upload_status",
        "File_location",
        "ExtInfo",
    ]);
    let time = |seconds: u32| -> Cell {
        DateTime::<Utc>::from_timestamp(i64::from(seconds), 0).map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string().into_bytes())
    };
    rows.rows = files
        .iter()
        .map(|file| {
            let (first, last) = file.times;
            let mut row = vec![cell(&file.name), cell(file.size), time(first), time(last), time(first), time(last)];
            row.extend([cell(&file.last_tso), cell("IGNORE"), cell("LOCAL"), cell("")]);
            row
        })
        .collect();
    rows
}

/// SHOW BINARY STREAMS: the streams, each with its end.
pub(super) fn binary_streams(streams: impl IntoIterator<Item = (String, (String, u64))>) -> Rows {
    let mut rows = Rows::new(&["Group", "Stream", "File", "Position"]);
    let row = |(stream, end): (String, (String, u64))| {
        let group = stream.split_once("_stream_").map_or("", |(group, _)| group);
        vec![cell(group), cell(&stream), cell(end.0), cell(end.1)]
    };
    rows.rows = streams.into_iter().map(row).collect();
    rows
}

/// SHOW MASTER STATUS and SHOW BINARY LOGS of a data node, whose binlog has another name.
pub(super) fn of_data_node(mut rows: Rows) -> Rows {
    for name in rows.rows.iter_mut().filter_map(|row| row.first_mut().and_then(Option::as_mut)) {
        *name = String::from_utf8_lossy(name).replace("binlog.", "mysql-bin.").into_bytes();
    }
    rows
}

/// SHOW DATABASES.
pub(super) fn databases(mut rows: Rows) -> Rows {
    rows.columns = vec![text_column("DATABASE")];
    rows
}

/// SHOW FULL TABLES of a database: the views are those of the session's current one.
pub(super) fn full_tables(database: &str, tables: &Rows, views: &Rows) -> Rows {
    let mut rows = Rows::new(&[&format!("Tables_in_{database}"), "Table_type", "Auto_partition", "Table_group"]);
    let is_view = |row: &&Vec<Cell>| row.get(1).is_some_and(|kind| kind.as_deref() == Some(b"VIEW"));
    let found = tables.rows.iter().filter(|row| !is_view(row)).chain(views.rows.iter().filter(is_view));
    rows.rows = found.map(|row| [row.get(..2).unwrap_or_default(), &[cell("NO"), cell("")]].concat()).collect();
    rows
}

/// SHOW CREATE TABLE; the answer for a view is not changed.
pub(super) fn create_table(mut rows: Rows) -> Rows {
    if rows.columns.len() == 2 {
        for row in &mut rows.rows {
            if let Some(text) = row.get_mut(1).and_then(Option::as_mut) {
                *text = print_table(&String::from_utf8_lossy(text)).into_bytes();
            }
        }
    }
    rows
}

/// SHOW GRANTS: names are not quoted.
pub(super) fn grants(mut rows: Rows) -> Rows {
    for text in rows.rows.iter_mut().flatten().flatten() {
        text.retain(|byte| *byte != b'`');
    }
    rows
}

/// SHOW COLUMNS and SHOW INDEX, without the hidden key. `column` is the index of the cell that names a column.
pub(super) fn without_hidden_key(mut rows: Rows, column: usize) -> Rows {
    rows.rows.retain(|row| row.get(column).is_none_or(|name| name.as_deref() != Some(HIDDEN_KEY.as_bytes())));
    rows
}

/// SHOW VARIABLES, with a data node's `server_uuid` if it changes, and with a variable that only PolarDB-X has.
pub(super) fn variables(mut rows: Rows, uuid: Option<&str>, pattern: Option<&str>) -> Rows {
    let replace = [("server_uuid", uuid), ("socket", Some(NODE_SOCKET))];
    for row in &mut rows.rows {
        for (name, value) in replace {
            if let (Some(Some(found)), Some(value)) = (row.first(), value)
                && found.as_slice() == name.as_bytes()
            {
                *row = vec![cell(name), cell(value)];
            }
        }
    }
    // Only the prefix of this name is known to exist.
    let is_wanted = pattern.is_none_or(|pattern| pattern.trim_matches(['\'', '"']).replace('\\', "").starts_with("polarx_"));
    if is_wanted {
        rows.rows.push(vec![cell("polarx_stand_in"), cell("ON")]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_columns_of_a_compute_node() {
        let file = FileInfo { name: "binlog.000001".to_owned(), size: 123, times: (0, 86_399), last_tso: "0".repeat(54) };
        let full = full_binary_logs(&[file]);
        assert_eq!(full.columns.len(), full.rows[0].len());
        assert_eq!((full.text(0, 4), full.text(0, 5)), ("1970-01-01 00:00:00".to_owned(), "1970-01-01 23:59:59".to_owned()));
        let status = full_master_status(("binlog.000001".to_owned(), 123), "7");
        assert_eq!((status.columns.len(), status.rows[0].len()), (12, 12));
        let mut tables = Rows::new(&["a", "b"]);
        tables.rows = vec![vec![cell("t"), cell("BASE TABLE")], vec![cell("v"), cell("VIEW")]];
        let found = full_tables("d", &tables, &Rows::default());
        assert_eq!((found.rows.len(), found.rows[0].len()), (1, 4));
        let mut granted = Rows::new(&["Grants for 'u'@'%'"]);
        granted.rows.push(vec![cell("GRANT SELECT ON `d`.* TO 'u'@'%'")]);
        assert_eq!(grants(granted).text(0, 0), "GRANT SELECT ON d.* TO 'u'@'%'");
        assert_eq!(variables(Rows::new(&["Variable_name", "Value"]), None, Some("'polarx\\_%'")).rows.len(), 1);
        assert_eq!(variables(Rows::new(&["Variable_name", "Value"]), None, Some("'server%'")).rows.len(), 0);
    }
}
