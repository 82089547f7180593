//! The file `server.properties`: five listeners, users, certificates and access rights.

use std::path::Path;

use crate::harness::Certificates;

/// The users that log in by SCRAM, with their passwords. The templates of the brokers' log folders contain these users.
pub(in crate::harness) const SCRAM_USERS: [(&str, &str); 2] = [("alice", "alice-secret"), ("mallory", "mallory-secret")];
/// The SCRAM mechanisms that these users can use.
pub(in crate::harness) const SCRAM_MECHANISMS: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// The ports of a broker on 127.0.0.1.
#[derive(Debug)]
pub(super) struct Ports {
    /// The controller's port on the first broker, which is the controller of all brokers.
    pub(super) controller: u16,
    pub(super) plain: u16,
    pub(super) sasl: u16,
    pub(super) mutual_tls: u16,
    pub(super) sasl_tls: u16,
    pub(super) behind_proxy: u16,
    pub(super) proxy: u16,
}

/// The properties of broker number `node` in a cluster of `size` brokers. The lines of `more` come last, so they override the others.
///
/// Sessions are short, so that within seconds a broker that was killed can register again, and leaders can move.
pub(super) fn write(node: u16, size: u16, ports: &Ports, logs: &Path, certificates: &Certificates, more: &[&str]) -> String {
    let Ports { controller, plain, sasl, mutual_tls, sasl_tls, behind_proxy, proxy } = ports;
    let listeners = format!(
        "PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},SSL://127.0.0.1:{mutual_tls},SASL_SSL://127.0.0.1:{sasl_tls},PROXIED://127.0.0.1"
    );
    let (roles, own) =
        if node == 1 { ("broker,controller", format!(",CONTROLLER://127.0.0.1:{controller}")) } else { ("broker", String::new()) };
    let (in_sync, session_ms) = if size > 1 { (2, 3000) } else { (1, 2000) };
    let logins: String = ["sasl_plaintext", "sasl_ssl"].into_iter().map(logins).collect();
    let (store, ca, logs, more) = (certificates.server.store.display(), certificates.ca.display(), logs.display(), more.join("\n"));
    format!(
        "process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners}:{behind_proxy}{own}
advertised.listeners={listeners}:{proxy}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,PROXIED:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
sasl.enabled.mechanisms={mechanisms},PLAIN
{logins}ssl.keystore.type=PEM
ssl.keystore.location={store}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:alice;User:bob;User:CN=client
allow.everyone.if.no.acl.found=false
default.replication.factor={size}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={size}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={size}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=3000
{more}
",
        mechanisms = SCRAM_MECHANISMS.join(",")
    )
}

/// The login settings of a listener. PLAIN users are listed here; SCRAM users are stored in the log folder.
fn logins(listener: &str) -> String {
    let scram: String = SCRAM_MECHANISMS
        .iter()
        .map(|mechanism| {
            let mechanism = mechanism.to_ascii_lowercase();
            format!(
                "listener.name.{listener}.{mechanism}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
            )
        })
        .collect();
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required user_bob=\"bob-secret\";";
    format!("{scram}listener.name.{listener}.plain.sasl.jaas.config={plain}\n")
}
