//! Checks the settings of the server. If a setting is wrong, changes would be missing in the stream.

use runtime::Finding;

use super::Server;

impl Server {
    /// Checks the settings that the stream needs. Returns one finding for each setting.
    pub(crate) fn stream_settings(&self) -> Vec<Finding> {
        let want = |item: &'static str, expected: &str, help: &str| {
            let found = self.variable(item);
            if found.eq_ignore_ascii_case(expected) {
                Finding::passed(item, if found.is_empty() { "empty" } else { found })
            } else {
                Finding::failed(item, format!("{item} is {found:?}, and must be {expected:?}"), help)
            }
        };
        const RECONNECT: &str = "the same in the server's option file, and let all sessions connect again";
        let format = want("binlog_format", "ROW", &format!("SET GLOBAL binlog_format = 'ROW', {RECONNECT}"));
        let image = want("binlog_row_image", "FULL", &format!("SET GLOBAL binlog_row_image = 'FULL', {RECONNECT}"));
        let options = || want("binlog_row_value_options", "", "SET GLOBAL binlog_row_value_options = ''");
        if self.is_polardbx() {
            // The variables are those of one data node. From what the data nodes write, PolarDB-X makes its binlog.
            let mut found = vec![format, image, options()];
            for finding in &mut found {
                finding.what += " (reported by one data node)";
                finding.help = "set it for all data nodes in the parameters of the instance".into();
            }
            found.extend(self.instance_role());
            found.extend(self.transaction_policy());
            return found;
        }
        let mut found = vec![want("log_bin", "ON", "start the server with --log-bin and --server-id"), format, image];
        if self.kind.is_mariadb() {
            found.push(want("log_bin_compress", "OFF", "SET GLOBAL log_bin_compress = OFF, and the same in the server's option file"));
        } else {
            found.push(options());
        }
        found.push(match self.server_id() {
            0 => Finding::failed(
                "source_server_id",
                "the server's server_id is 0, so it sends its binlog to nobody",
                "SET GLOBAL server_id to a number above 0, the same in the server's option file",
            ),
            id => Finding::passed("source_server_id", id.to_string()),
        });
        found
    }

    /// The finding about the role of an instance of PolarDB-X: `MASTER`, or a read-only one such as `ROW_SLAVE` or `COLUMNAR_SLAVE`. `None` if
    /// the instance does not tell.
    fn instance_role(&self) -> Option<Finding> {
        const ITEM: &str = "instance_role";
        let role = self.variable("polardbx_instance_role");
        if role.eq_ignore_ascii_case("MASTER") {
            return Some(Finding::passed(ITEM, "the instance is a primary one"));
        }
        let is_read_only = role.to_ascii_uppercase().ends_with("SLAVE");
        let what = if is_read_only { "the instance is read-only, and sends no binlog" } else { "the role of the instance is not known" };
        let make = if is_read_only { Finding::failed } else { Finding::warning };
        let help = "let `source.polardbx.host` name the endpoint of the primary instance";
        (!role.is_empty()).then(|| make(ITEM, format!("{what} (polardbx_instance_role is {role})"), help))
    }

    /// The finding about the policy by which PolarDB-X commits on several data nodes. `None` if the instance does not tell.
    fn transaction_policy(&self) -> Option<Finding> {
        const ITEM: &str = "transaction_policy";
        let policy = self.variable(ITEM);
        if policy.is_empty() {
            return None;
        }
        Some(if policy.eq_ignore_ascii_case("TSO") || policy.eq_ignore_ascii_case("XA_TSO") {
            Finding::passed(ITEM, policy)
        } else {
            Finding::warning(
                ITEM,
                format!(
                    "transaction_policy is {policy}: what a transaction changes on several data nodes arrives as several transactions, in any \
                     order"
                ),
                "set transaction_policy to TSO in the parameters of the instance, unless readers do not need whole transactions",
            )
        })
    }

    /// Whether the server writes changes that it gets from a source of its own into its binlog.
    pub(crate) fn logs_replicated_changes(&self) -> bool {
        ["log_slave_updates", "log_replica_updates"].iter().any(|name| self.variable(name).eq_ignore_ascii_case("ON"))
    }

    /// Says why commits may become visible in another order than in the binlog; `None` if the order is the same. On MariaDB the order is
    /// always the same.
    pub(crate) fn unordered_commits(&self) -> Option<String> {
        let found = self.variable("binlog_order_commits");
        (!self.kind.is_mariadb() && !self.is_polardbx() && !found.eq_ignore_ascii_case("ON"))
            .then(|| format!("binlog_order_commits is {found:?}"))
    }
}

#[cfg(test)]
mod tests {
    use runtime::Level;

    use super::super::kind::kind_of;
    use super::*;

    fn server(version: &str, variables: &[(&str, &str)]) -> Server {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Server { kind: kind_of(version, ""), version: version.to_owned(), variables }
    }

    fn failed(server: &Server) -> Vec<String> {
        let failed = server.stream_settings().into_iter().filter(|finding| finding.level == Level::Failed);
        failed.map(|finding| finding.item.into_owned()).collect()
    }

    #[test]
    fn settings_that_lose_rows_fail() {
        let rows = [("log_bin", "ON"), ("binlog_format", "MIXED"), ("binlog_row_image", "FULL"), ("server_id", "0")];
        assert_eq!(failed(&server("5.7.22", &rows)), ["binlog_format", "source_server_id"]);
        let mut rows = vec![("log_bin", "ON"), ("binlog_format", "ROW"), ("binlog_row_image", "FULL"), ("server_id", "1")];
        rows.push(("log_bin_compress", "ON"));
        assert_eq!(failed(&server("10.11.2-MariaDB", &rows)), ["log_bin_compress"]);
        rows.push(("binlog_row_value_options", "PARTIAL_JSON"));
        assert_eq!(failed(&server("8.0.15", &rows)), ["binlog_row_value_options"]);
    }

    #[test]
    fn of_polardbx_the_settings_of_the_data_nodes_count() {
        let rows = [("binlog_format", "ROW"), ("binlog_row_image", "MINIMAL"), ("server_id", "0")];
        let server = server("5.7.25-PXC-5.4.20", &rows);
        assert_eq!(failed(&server), ["binlog_row_image"]);
        assert!(server.stream_settings()[0].what.contains("one data node"));
        assert!(server.unordered_commits().is_none());
    }

    #[test]
    fn a_read_only_instance_of_polardbx_fails() {
        let found = |role: &str| {
            let server = server("5.7.25-PXC-5.4.20", &[("polardbx_instance_role", role)]);
            server.stream_settings().into_iter().find(|finding| finding.item == "instance_role")
        };
        assert!(found("").is_none());
        for (role, level) in
            [("MASTER", Level::Passed), ("ROW_SLAVE", Level::Failed), ("COLUMNAR_SLAVE", Level::Failed), ("STANDBY", Level::Warning)]
        {
            let finding = found(role).unwrap();
            assert_eq!(finding.level, level, "{role}");
            assert!(level == Level::Passed || (finding.what.contains(role) && finding.help.contains("primary instance")), "{finding:?}");
        }
    }

    #[test]
    fn a_policy_that_splits_transactions_is_warned_of() {
        let found = |policy: &str| {
            let server = server("5.7.25-PXC-5.4.20", &[("transaction_policy", policy)]);
            server.stream_settings().into_iter().find(|finding| finding.item == "transaction_policy").map(|finding| finding.level)
        };
        let levels = ["", "TSO", "XA_TSO", "XA"].map(found);
        assert_eq!(levels, [None, Some(Level::Passed), Some(Level::Passed), Some(Level::Warning)]);
    }

    #[test]
    fn only_mysql_can_make_commits_visible_out_of_order() {
        assert!(server("8.0.15", &[("binlog_order_commits", "OFF")]).unordered_commits().is_some());
        assert!(server("8.0.15", &[("binlog_order_commits", "ON")]).unordered_commits().is_none());
        assert!(server("10.11.2-MariaDB", &[]).unordered_commits().is_none());
    }
}
