//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use runtime::Escaped;

/// Copies a MySQL or MariaDB database into Kafka: existing rows first, then every change as it is committed.
#[derive(Debug, Parser)]
#[command(
    name = "connector-cli",
    bin_name = "connector-cli",
    version,
    after_help = "Example:\n  connector-cli check shop.toml && connector-cli run shop.toml"
)]
pub(crate) struct Arguments {
    /// Print no status line
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the task of a configuration file until it ends, fails or is stopped (Ctrl-C or SIGTERM stops it after a commit; the next run continues from there)
    #[command(after_help = "Example:\n  connector-cli run shop.toml")]
    Run(RunArguments),
    /// Look for everything that would make the task fail, and change nothing
    #[command(after_help = "Example:\n  connector-cli check shop.toml")]
    Check(CheckArguments),
    /// Run the tests in configuration files, without any server
    #[command(after_help = "Example:\n  connector-cli test shop.toml")]
    Test(TestArguments),
    /// Show what becomes of the first rows of a table, and write nothing
    #[command(after_help = "Example:\n  connector-cli preview shop.toml --table shop.orders --limit 10")]
    Preview(PreviewArguments),
    /// Mend what a stopped task knows of its tables
    #[command(after_help = "Example:\n  connector-cli schema refetch shop.toml shop.orders")]
    Schema(SchemaArguments),
    /// Have the rows of a table read again when a stopped task starts next; everything else is delivered meanwhile
    #[command(after_help = "Example:\n  connector-cli resnapshot shop.toml shop.orders --where 'id>1000'")]
    Resnapshot(ResnapshotArguments),
    /// Print the configuration for a task of Alibaba Cloud DTS: its object list (JSON), alone or in the request that configures the task
    #[command(after_help = "Example:\n  connector-cli import-dts task.json")]
    ImportDts(ImportArguments),
    /// Print the configuration for a Debezium connector for MySQL or MariaDB (JSON)
    #[command(after_help = "Example:\n  connector-cli import-debezium connector.json")]
    ImportDebezium(ImportArguments),
    /// Print the configuration for a Canal instance (instance.properties, and canal.properties if it is given)
    #[command(after_help = "Example:\n  connector-cli import-canal instance.properties canal.properties")]
    ImportCanal(ImportFilesArguments),
    /// Show the events of binlog files of MySQL, MariaDB or PolarDB-X, without any server
    #[command(after_help = "Example:\n  connector-cli decode binlog.000007 --tables shop.* --schema schema.sql")]
    Decode(DecodeArguments),
    /// List the plugins of this program by kind and name
    #[command(after_help = "Example:\n  connector-cli plugins")]
    Plugins,
    /// Print the version
    #[command(after_help = "Example:\n  connector-cli version")]
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The configuration file (TOML)
    pub(crate) file: PathBuf,
    /// Write logs as JSON
    #[arg(long)]
    pub(crate) json_logs: bool,
    /// What is logged: a level for everything, and levels for single modules, such as "info,sink_kafka=debug"
    #[arg(long, env = "RUST_LOG", default_value = "info,rskafka=warn,mysql_async=warn", hide_env_values = true)]
    pub(crate) log: String,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The configuration file (TOML)
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file to read, of at most 1 MiB
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportFilesArguments {
    /// The files to read, of at most 1 MiB each; where two have an option, the first counts
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// The configuration files (TOML)
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the results into this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewArguments {
    /// The configuration file (TOML)
    pub(crate) file: PathBuf,
    /// The table as database.table, by its name in the source (parts with dots or spaces stand in backticks)
    #[arg(long)]
    pub(crate) table: String,
    /// The largest number of rows
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    /// Print one JSON object for each row
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArguments {
    /// The binlog files, in their order
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The tables whose rows are shown, as patterns like database.* (all tables by default); may be given more than once
    #[arg(long, value_name = "PATTERN")]
    pub(crate) tables: Vec<String>,
    /// A file with the CREATE TABLE statements of the tables as they were at the beginning, such as the output of mysqldump --no-data
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// The offset in the first file at which to begin, where an event begins
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(u64).range(4..))]
    pub(crate) from: Option<u64>,
    /// Print one JSON object for each event
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    #[command(subcommand)]
    pub(crate) command: SchemaCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Read the schema of a table again, for a task that stopped with E_SCHEMA_MISMATCH; refused unless the schema holds where the task stopped
    #[command(after_help = "Example:\n  connector-cli schema refetch shop.toml shop.orders")]
    Refetch(RefetchArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RefetchArguments {
    /// The configuration file (TOML)
    pub(crate) file: PathBuf,
    /// The table as database.table (parts with dots or spaces stand in backticks)
    pub(crate) table: String,
}

#[derive(Debug, Args)]
pub(crate) struct ResnapshotArguments {
    /// The configuration file (TOML)
    pub(crate) file: PathBuf,
    /// The table as database.table (parts with dots or spaces stand in backticks)
    pub(crate) table: String,
    /// A condition in the SQL of the source: only the rows that meet it are read
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
}

/// Reads the arguments. The error quotes them escaped.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    // The library quotes arguments as they are, so its error is made of escaped ones.
    let escaped = args.iter().map(|arg| OsString::from(Escaped(arg.to_string_lossy()).to_string()));
    Arguments::try_parse_from(&args).map_err(|error| Arguments::try_parse_from(escaped).err().unwrap_or(error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn quiet_stands_before_or_after_the_command() {
        let quiet = |line: &str| parse(line.split(' ').map(OsString::from)).unwrap().quiet;
        assert!(quiet("connector-cli --quiet run shop.toml") && quiet("connector-cli run --quiet shop.toml"));
        assert!(quiet("connector-cli run shop.toml --quiet") && !quiet("connector-cli run shop.toml"));
    }

    #[test]
    fn errors_quote_arguments_without_control_characters() {
        for hostile in ["no\x1b[2J\nok  forged", "--\u{9b}\u{202e}\r\n"] {
            let error = parse(["connector-cli", hostile].map(OsString::from)).unwrap_err().render().to_string();
            assert!(!error.chars().any(|c| c != '\n' && runtime::is_unprintable(c)) && !error.contains("\nok"), "{error:?}");
            assert!(error.contains(&Escaped(hostile).to_string()), "{error}");
        }
    }

    #[test]
    fn the_unit_of_systemd_starts_the_program_safely() {
        let mut section = "";
        let mut found = Vec::new();
        for line in include_str!("../../docs/connector.service").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                assert!(["Unit", "Service", "Install"].contains(&name), "{line}");
                section = name;
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
            assert!(key.starts_with(|c: char| c.is_ascii_uppercase()) && key.chars().all(|c| c.is_ascii_alphabetic()), "{line}");
            found.push((section, key, value));
        }
        let value = |wanted: &str| found.iter().find(|(section, key, _)| *section == "Service" && *key == wanted).unwrap().2;
        let start = parse(value("ExecStart").split_whitespace().map(OsString::from)).unwrap();
        assert!(matches!(start.command, Command::Run(_)));
        // Exit codes that another start does not mend.
        assert_eq!(value("RestartPreventExitStatus"), "1 2 4");
        assert_eq!([value("LimitCORE"), value("UMask"), value("StateDirectoryMode")], ["0", "0077", "0700"]);
        assert!(found.contains(&("Install", "WantedBy", "multi-user.target")));
    }

    #[test]
    fn every_help_ends_with_an_example() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for mut command in command.get_subcommands().cloned().chain([command.clone()]) {
            let help = command.render_help().to_string();
            let example = help.trim_end().rsplit('\n').next().unwrap_or_default().to_owned();
            assert!(example.trim_start().starts_with("connector-cli "), "{help}");
            for words in example.split("&&") {
                parse(words.split_whitespace().map(OsString::from)).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }
}
