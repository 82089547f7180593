//! Which topic and partition an event goes to.
//!
//! A router is a pure value: it is told how many partitions a topic has, and answers with a [`Target`] or names the topic it must be told
//! about first. Routes of a table are remembered per version of its structure.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::{Body, Event, RowChange, SchemaChange, TableId, TableSchema};

use super::partitioner;
use crate::config::{Config, PartitionPolicy};
use crate::error::Error;

/// The longest name that Kafka allows.
const MAX_TOPIC_NAME: usize = 249;
/// Structures are remembered by address; after so many all are forgotten, so that a long life with many schema changes needs no more memory.
const MAX_ROUTES: usize = 4096;

/// A topic's name, or a template with `{database}` and `{table}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Database,
    Table,
}

impl TopicTemplate {
    /// Reads a template; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_once('{').map_or((rest, None), |(literal, after)| (literal, Some(after)));
            if let Some(wrong) = literal.chars().find(|&c| !is_topic_character(c)) {
                return Err(format!("`{wrong}` cannot be in a topic's name, which has letters, digits, `.`, `_` and `-`"));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let Some(after) = after else { break };
            let (name, after) = after.split_once('}').ok_or("a `{` without `}`")?;
            pieces.push(match name {
                "database" => Piece::Database,
                "table" => Piece::Table,
                other => return Err(format!("`{{{other}}}` is unknown; there are `{{database}}` and `{{table}}`")),
            });
            rest = after;
        }
        if pieces.is_empty() {
            return Err("a topic's name cannot be empty".into());
        }
        let template = Self { pieces };
        if let Some(name) = template.fixed() {
            check_name(name)?;
        }
        Ok(template)
    }

    /// The name, if there is no placeholder.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(name)] => Some(name),
            _ => None,
        }
    }

    /// The topic of a table. Bytes of names outside `[A-Za-z0-9._-]` become `_` and two hexadecimal digits.
    pub(crate) fn render(&self, table: &TableId) -> Result<String, String> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Database => escape(&mut name, &table.database),
                Piece::Table => escape(&mut name, &table.table),
            }
        }
        check_name(&name)?;
        Ok(name)
    }

    /// Whether `name` could be the topic of some table. May say yes too often, never too rarely.
    pub(crate) fn could_be(&self, name: &str) -> bool {
        let mut rest = name;
        let mut anchored = true;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) if anchored => match rest.strip_prefix(text.as_str()) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Piece::Literal(text) => match rest.find(text.as_str()) {
                    Some(at) => {
                        rest = &rest[at + text.len()..];
                        anchored = true;
                    }
                    None => return false,
                },
                Piece::Database | Piece::Table => anchored = false,
            }
        }
        match self.pieces.last() {
            Some(Piece::Literal(text)) => name.ends_with(text.as_str()),
            _ => true,
        }
    }
}

fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn escape(out: &mut String, name: &str) {
    for byte in name.bytes() {
        if is_topic_character(char::from(byte)) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "_{byte:02x}");
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    match name {
        "" => Err("a topic's name cannot be empty".into()),
        "." | ".." => Err(format!("`{name}` is not allowed as a topic's name")),
        _ if name.len() > MAX_TOPIC_NAME => {
            Err(format!("a topic's name has at most {MAX_TOPIC_NAME} characters, `{name}` has {}", name.len()))
        }
        _ => Ok(()),
    }
}

/// A place in the lane's list of topics, and a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target {
    /// Index into the lane's topics.
    pub(crate) topic: usize,
    /// The partition.
    pub(crate) partition: usize,
}

/// Where an event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To one place.
    To(Target),
    /// The router must be told of this topic first ([`Router::learn`]), then asked again.
    Unknown(Arc<str>),
    /// A transaction border under a template: no topic is its own.
    Nowhere,
}

struct TableRoute {
    // Keeps the structure alive, so that its address stays its own.
    _schema: Arc<TableSchema>,
    topic: usize,
    partitions: usize,
    choice: Choice,
}

/// How the partition of a table's rows is found.
enum Choice {
    /// The same for all rows.
    Fixed(usize),
    /// By the values of these columns.
    Columns(Vec<usize>),
}

/// Which table a topic made from a template belongs to; shared by all lanes of a task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners(Arc<Mutex<HashMap<Arc<str>, TableId>>>);

impl Owners {
    /// Notes that a table's rows go to a topic; the other table, if the topic belongs to one already.
    fn claim(&self, topic: &Arc<str>, table: &TableId) -> Result<(), TableId> {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match owners.get(topic) {
            Some(owner) if owner != table => Err(owner.clone()),
            Some(_) => Ok(()),
            None => {
                owners.insert(topic.clone(), table.clone());
                Ok(())
            }
        }
    }
}

/// Decides where events go.
pub(crate) struct Router {
    topic: TopicTemplate,
    ddl_topic: Option<Arc<str>>,
    policy: PartitionPolicy,
    /// Columns that decide for some tables, by name.
    columns: HashMap<TableId, Vec<String>>,
    /// Name and number of partitions of the topics in the lane's order.
    topics: Vec<(Arc<str>, usize)>,
    by_name: HashMap<Arc<str>, usize>,
    owners: Owners,
    routes: Vec<TableRoute>,
    /// Places in `routes` by the address of the structure.
    by_address: HashMap<usize, usize>,
    /// The address met last and its place: rows of one table come in a row.
    recent: (usize, usize),
    scratch: Vec<u8>,
}

impl Router {
    /// A router that knows no topic yet. The configuration was validated.
    pub(crate) fn new(config: &Config, owners: Owners) -> Result<Self, Error> {
        let topic = TopicTemplate::parse(&config.topic).map_err(|problem| Error::Setting { key: "topic", problem })?;
        Ok(Self {
            topic,
            ddl_topic: config.ddl_topic.as_deref().map(Arc::from),
            policy: config.partition,
            columns: config.partition_columns()?,
            topics: Vec::new(),
            by_name: HashMap::new(),
            owners,
            routes: Vec::new(),
            by_address: HashMap::new(),
            recent: (0, 0),
            scratch: Vec::new(),
        })
    }

    /// The topics that are known before any event: the fixed topic and the one for schema changes.
    pub(crate) fn fixed_topics(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.topic.fixed().map(Arc::from).into_iter().chain(self.ddl_topic.clone()).collect();
        names.dedup();
        names
    }

    /// The template, unless there is one topic for all tables.
    pub(crate) fn template(&self) -> Option<&TopicTemplate> {
        self.topic.fixed().is_none().then_some(&self.topic)
    }

    /// Tells the router of a topic. Returns its place, the next one in order.
    pub(crate) fn learn(&mut self, name: Arc<str>, partitions: usize) -> usize {
        let place = self.topics.len();
        self.by_name.insert(name.clone(), place);
        self.topics.push((name, partitions));
        place
    }

    /// The place of a topic.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Where an event other than a schema change goes.
    pub(crate) fn route(&mut self, event: &Event) -> Result<Route, runtime::Error> {
        match &event.body {
            Body::Row(row) => self.route_row(row),
            Body::Begin | Body::Commit | Body::Heartbeat => match self.topic.fixed() {
                Some(name) => Ok(match self.place(name) {
                    Some(topic) => Route::To(Target { topic, partition: 0 }),
                    None => Route::Unknown(name.into()),
                }),
                None => Ok(Route::Nowhere),
            },
            Body::Schema(_) => Err(runtime::Error::fatal("route a schema change that does not travel alone")),
            _ => Err(runtime::Error::data("route an event of a kind that this sink does not know")),
        }
    }

    fn route_row(&mut self, row: &RowChange) -> Result<Route, runtime::Error> {
        let address = Arc::as_ptr(&row.schema) as usize;
        if self.recent.0 != address {
            let place = match self.by_address.get(&address) {
                Some(&place) => place,
                None => match self.remember(&row.schema)? {
                    Ok(place) => place,
                    Err(unknown) => return Ok(Route::Unknown(unknown)),
                },
            };
            self.recent = (address, place);
        }
        let lost = || runtime::Error::fatal("find the remembered route of a table");
        let route = self.routes.get(self.recent.1).ok_or_else(lost)?;
        let partition = match &route.choice {
            Choice::Fixed(partition) => *partition,
            Choice::Columns(columns) => {
                // An update goes where its new values go.
                let image = row.newest().ok_or_else(|| runtime::Error::data("route a row change without any image"))?;
                partitioner::of_key(&row.schema, columns, image, route.partitions, &mut self.scratch)?
            }
        };
        Ok(Route::To(Target { topic: route.topic, partition }))
    }

    /// Works out the route of a structure's rows; the inner error is the topic that must be learnt first.
    fn remember(&mut self, schema: &Arc<TableSchema>) -> Result<Result<usize, Arc<str>>, Error> {
        let name = self.topic_of(&schema.id)?;
        let Some(topic) = self.place(&name) else { return Ok(Err(name)) };
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
            self.by_address.clear();
        }
        let partitions = self.partitions(topic);
        let choice = match (self.columns.get(&schema.id), self.policy) {
            (Some(names), _) => Choice::Columns(named_columns(schema, names)?),
            (None, PartitionPolicy::Zero) => Choice::Fixed(0),
            (None, PartitionPolicy::Table) => Choice::Fixed(partitioner::of_table(&schema.id, partitions)),
            (None, PartitionPolicy::PrimaryKey) => Choice::Columns(partitioner::key_columns(schema)),
        };
        let place = self.routes.len();
        self.routes.push(TableRoute { _schema: schema.clone(), topic, partitions, choice });
        self.by_address.insert(Arc::as_ptr(schema) as usize, place);
        Ok(Ok(place))
    }

    fn partitions(&self, topic: usize) -> usize {
        self.topics.get(topic).map_or(1, |(_, partitions)| *partitions)
    }

    /// Where a schema change goes: to the topic for schema changes, else to the topic of every table that it touches; there to the
    /// partition of the table's rows if those share one, else to partition 0.
    pub(crate) fn route_schema_change(&mut self, change: &SchemaChange) -> Result<Vec<Route>, Error> {
        let tables: Vec<TableId> = change.tables.iter().map(|(table, _)| table.clone()).collect();
        let mut routes = Vec::new();
        if tables.is_empty() {
            let name = self.ddl_topic.clone().or_else(|| self.topic.fixed().map(Arc::from)).ok_or(Error::NoDdlTopic)?;
            routes.push(self.place(&name).map_or(Route::Unknown(name), |topic| Route::To(Target { topic, partition: 0 })));
        }
        for table in &tables {
            let name = match &self.ddl_topic {
                Some(name) => name.clone(),
                None => self.topic_of(table)?,
            };
            let route = match self.place(&name) {
                None => Route::Unknown(name),
                Some(topic) => {
                    let partitions = self.partitions(topic);
                    let together = self.policy == PartitionPolicy::Table && !self.columns.contains_key(table);
                    let partition = if together { partitioner::of_table(table, partitions) } else { 0 };
                    Route::To(Target { topic, partition })
                }
            };
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        Ok(routes)
    }

    /// The topic of a table. Two tables that fall on one topic by a template are an error: their rows could not be told apart by topic,
    /// which is what the template was written for.
    fn topic_of(&mut self, table: &TableId) -> Result<Arc<str>, Error> {
        if let Some(name) = self.topic.fixed() {
            return Ok(name.into());
        }
        let name: Arc<str> = self.topic.render(table).map_err(|problem| Error::TopicName { table: table.to_string(), problem })?.into();
        match self.owners.claim(&name, table) {
            Ok(()) => Ok(name),
            Err(owner) => Err(Error::TopicsCollide { topic: name.to_string(), first: owner.to_string(), second: table.to_string() }),
        }
    }
}

/// The places of columns. A name that the table does not have is an error: rows would go somewhere else than the settings say.
fn named_columns(schema: &TableSchema, names: &[String]) -> Result<Vec<usize>, Error> {
    let find = |name: &String| {
        schema.column(name).ok_or_else(|| Error::NoColumn {
            table: schema.id.to_string(),
            column: name.clone(),
            columns: schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::{Column, ColumnKind, Op, Row, SchemaChangeKind, Seq, Value};
    use serde_json::json;

    use super::*;
    use crate::config::tests::config;

    fn router(topic: &str, partition: &str, ddl_topic: Option<&str>) -> Router {
        Router::new(
            &config(json!({
                "brokers": ["k:1"], "topic": topic, "partition": partition, "ddl_topic": ddl_topic, "format": {"canal_json": {}}
            })),
            Owners::default(),
        )
        .unwrap()
    }

    #[test]
    fn columns_decide_for_their_table_alone() {
        let settings = json!({
            "brokers": ["k:1"], "topic": "t", "partition": "table", "format": {"canal_json": {}},
            "partition_columns": {"shop.orders": ["id"], "shop.odd": ["customer"]}
        });
        let mut router = Router::new(&config(settings), Owners::default()).unwrap();
        router.learn("t".into(), 100);
        let by_id: Vec<Route> = (0..20).map(|id| router.route(&row("orders", id, None)).unwrap()).collect();
        assert!(by_id.windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(router.route(&row("orders", 7, Some(3))).unwrap(), by_id[7], "an update goes where its new values go");
        assert_eq!(router.route(&row("other", 1, None)).unwrap(), router.route(&row("other", 2, None)).unwrap());
        let error = router.route(&row("odd", 1, None)).unwrap_err();
        assert_eq!(error.kind(), runtime::Kind::Config);
        assert!(error.to_string().contains("shop.odd") && error.to_string().contains("customer"), "{error}");
    }

    #[test]
    fn lanes_share_what_topics_belong_to() {
        let settings = json!({"brokers": ["k:1"], "topic": "{table}", "format": {"canal_json": {}}});
        let owners = Owners::default();
        let mut lanes = [(); 2].map(|()| Router::new(&config(settings.clone()), owners.clone()).unwrap());
        lanes[0].route(&row("a$", 1, None)).unwrap();
        lanes[1].route(&row("a$", 1, None)).unwrap();
        assert!(lanes[1].route(&row("a_24", 1, None)).unwrap_err().to_string().contains("a$"));
    }

    fn row(table: &str, key: i64, before: Option<i64>) -> Event {
        let mut schema = TableSchema::new(TableId::new("shop", table), vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint")]);
        schema.primary_key = vec![0];
        let image = |value| Row::from_values([Value::Int(value)]);
        event(Body::Row(RowChange { schema: Arc::new(schema), op: Op::Update, before: before.map(image), after: Some(image(key)) }))
    }

    fn event(body: Body) -> Event {
        Event { seq: Seq(1), position: "p".into(), timestamp_ms: 0, txid: None, origin: Arc::default(), body }
    }

    fn ddl(tables: &[&str]) -> SchemaChange {
        let mut change = SchemaChange::new(SchemaChangeKind::Other, "shop", "x");
        change.tables = tables.iter().map(|table| (TableId::new("shop", *table), None)).collect();
        change
    }

    #[test]
    fn templates_escape_what_a_topic_cannot_hold() {
        let template = TopicTemplate::parse("x.{database}-{table}").unwrap();
        assert_eq!(template.render(&TableId::new("a b", "é$")).unwrap(), "x.a_20b-_c3_a9_24");
        assert_eq!(
            TopicTemplate::parse("{table}").unwrap().render(&TableId::new("d", ".")),
            Err("`.` is not allowed as a topic's name".into())
        );
        assert!(TopicTemplate::parse("{table}").unwrap().render(&TableId::new("d", "x".repeat(250))).is_err());
        for wrong in ["", "{", "{table", "a/b", "{schema}", "..", &"x".repeat(250)] {
            assert!(TopicTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_topic_is_named_and_then_used() {
        let mut router = router("{table}", "zero", None);
        let event = row("orders", 1, None);
        assert_eq!(router.route(&event).unwrap(), Route::Unknown("orders".into()));
        let topic = router.learn("orders".into(), 3);
        assert_eq!(router.route(&event).unwrap(), Route::To(Target { topic, partition: 0 }));
        assert_eq!(router.route(&self::event(Body::Begin)).unwrap(), Route::Nowhere);
    }

    #[test]
    fn tables_that_fall_on_one_topic_are_refused() {
        let mut router = router("{table}", "zero", None);
        router.route(&row("a$", 1, None)).unwrap();
        let error = router.route(&row("a_24", 1, None)).unwrap_err();
        assert_eq!(error.kind(), runtime::Kind::Config);
        assert!(error.to_string().contains("a_24") && error.to_string().contains("a$"), "{error}");
    }

    #[test]
    fn an_update_goes_where_its_new_key_goes() {
        let mut router = router("t", "primary_key", None);
        router.learn("t".into(), 10);
        let (one, two) = (router.route(&row("x", 1, None)).unwrap(), router.route(&row("x", 2, None)).unwrap());
        assert_ne!(one, two);
        assert_eq!(router.route(&row("x", 2, Some(1))).unwrap(), two);
    }

    #[test]
    fn schema_changes_follow_their_policy() {
        let mut by_table = router("t", "table", None);
        by_table.learn("t".into(), 8);
        let row_route = by_table.route(&row("orders", 5, None)).unwrap();
        assert_eq!(by_table.route_schema_change(&ddl(&["orders"])).unwrap(), [row_route]);
        assert_eq!(by_table.route_schema_change(&ddl(&[])).unwrap(), [Route::To(Target { topic: 0, partition: 0 })]);

        let mut by_key = router("t", "primary_key", None);
        by_key.learn("t".into(), 8);
        assert_eq!(by_key.route_schema_change(&ddl(&["a", "b"])).unwrap(), [Route::To(Target { topic: 0, partition: 0 })]);

        let mut templated = router("{table}", "zero", None);
        templated.learn("a".into(), 1);
        templated.learn("b".into(), 1);
        let both = [Route::To(Target { topic: 0, partition: 0 }), Route::To(Target { topic: 1, partition: 0 })];
        assert_eq!(templated.route_schema_change(&ddl(&["a", "b"])).unwrap(), both);
        let error = runtime::Error::from(templated.route_schema_change(&ddl(&[])).unwrap_err());
        assert!(error.kind() == runtime::Kind::Config && error.to_string().contains("ddl_topic"), "{error}");

        let mut apart = router("{table}", "zero", Some("ddl"));
        assert_eq!(apart.fixed_topics(), [Arc::from("ddl")]);
        assert_eq!(apart.route_schema_change(&ddl(&["a"])).unwrap(), [Route::Unknown("ddl".into())]);
    }

    proptest! {
        #[test]
        fn rendered_names_are_legal_and_recognised(database in "\\PC{1,12}", table in "\\PC{1,12}", prefix in "[a-z.]{0,4}", suffix in "[a-z.]{0,4}") {
            let template = TopicTemplate::parse(&format!("{prefix}{{database}}.{{table}}{suffix}")).unwrap();
            let name = template.render(&TableId::new(database, table)).unwrap();
            prop_assert!(name.chars().all(is_topic_character), "{}", name);
            prop_assert!(template.could_be(&name), "{}", name);
        }

        #[test]
        fn any_template_is_read_or_refused(text in "\\PC{0,20}|[{}a-z]{0,12}") {
            if let Ok(template) = TopicTemplate::parse(&text) {
                let _ = template.could_be(&text);
            }
        }
    }
}
