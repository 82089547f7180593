//! Decides the topic, the partition and the key of each event.
//!
//! A router does no I/O. It returns a [`Target`], or the name of a topic that must be added first with its number of partitions. It caches
//! the route of a table for each version of the table's definition.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::{Body, Event, Notices, Op, Row, RowChange, SchemaChange, TableId, TableSchema, Value};

use super::deciding::{Deciding, deciding_columns, row_key};
use super::partitioner;
use super::record_key::{self, RecordKey, RowKey};
use super::rules::{KeyChange, PartitionPolicy, RoutingRules};
use super::topic_owners::TopicOwners;
use crate::error::Error;

/// The largest number of cached routes. Then the cache is cleared, so that many schema changes over time do not take ever more memory.
const MAX_ROUTES: usize = 4096;

/// A partition of one of the lane's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target {
    /// The index of the topic in the lane.
    pub(crate) topic: usize,
    /// The number of the partition.
    pub(crate) partition: usize,
}

/// The result of routing an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The event goes to this partition.
    To(Target),
    /// The event is an update that is written as a DELETE in the partition `from`, and an INSERT in the partition `to`.
    Moved { from: Target, to: Target },
    /// This topic must be added first ([`Router::add_topic`]); then the event must be routed again.
    Unknown(Arc<str>),
    /// The event is a transaction boundary or a heartbeat and the topic is a template, so there is no topic for it.
    Nowhere,
}

struct TableRoute {
    // Keeps the table definition alive, so that its address, the key of the cache, is not reused for another one.
    _schema: Arc<TableSchema>,
    topic: usize,
    partitions: usize,
    choice: Choice,
    key: Option<RowKey>,
}

/// How the partition of a table's rows is chosen.
enum Choice {
    /// All rows go to this partition.
    Fixed(usize),
    /// The partition depends on the values of these columns.
    Columns(Vec<usize>),
}

/// Decides where events go; see the documentation of this module.
pub(crate) struct Router {
    rules: Arc<RoutingRules>,
    /// The name and the number of partitions of each topic of the lane.
    topics: Vec<(Arc<str>, usize)>,
    by_name: HashMap<Arc<str>, usize>,
    owners: TopicOwners,
    routes: Vec<TableRoute>,
    /// The index in `routes`, by the address of the table definition.
    by_address: HashMap<usize, usize>,
    /// The address of the last table definition and its index in `routes`. It saves lookups, because consecutive rows are often of the same
    /// table.
    recent: (usize, usize),
    /// By which columns the rows of each table were routed last, or would have been at the start of the lane.
    deciding: HashMap<TableId, Deciding>,
    notices: Notices,
    scratch: Vec<u8>,
    /// The keys of a row before and after an update.
    keys: [Vec<u8>; 2],
}

impl Router {
    /// A router without topics, for a lane that starts with these tables.
    pub(crate) fn new(rules: Arc<RoutingRules>, owners: TopicOwners, notices: Notices, tables: &[Arc<TableSchema>]) -> Self {
        let of = |schema: &Arc<TableSchema>| {
            // The settings may name a column that the table does not have. Its first row says so.
            let partition = deciding_columns(&rules, schema).ok()?;
            Some((schema.id.clone(), Deciding::new(schema, &partition, row_key(&rules, schema).as_ref())))
        };
        let deciding = tables.iter().filter_map(of).collect();
        Self {
            rules,
            topics: Vec::new(),
            by_name: HashMap::new(),
            owners,
            routes: Vec::new(),
            by_address: HashMap::new(),
            recent: (0, 0),
            deciding,
            notices,
            scratch: Vec::new(),
            keys: Default::default(),
        }
    }

    /// The rules that the router follows.
    pub(crate) fn rules(&self) -> &RoutingRules {
        &self.rules
    }

    /// Adds a topic. Returns its index, which is the number of topics before.
    pub(crate) fn add_topic(&mut self, name: Arc<str>, partitions: usize) -> usize {
        let index = self.topics.len();
        self.by_name.insert(name.clone(), index);
        self.topics.push((name, partitions));
        index
    }

    /// The index of a topic; `None` if it was not added.
    pub(crate) fn topic_index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Decides where an event goes that is not a schema change.
    pub(crate) fn route(&mut self, event: &Event) -> Result<Route, runtime::Error> {
        match &event.body {
            Body::Row(row) => self.route_row(row),
            Body::Begin | Body::Commit | Body::Heartbeat => match self.rules.topic.fixed() {
                Some(name) => Ok(match self.topic_index(name) {
                    Some(topic) => Route::To(Target { topic, partition: 0 }),
                    None => Route::Unknown(name.into()),
                }),
                None => Ok(Route::Nowhere),
            },
            Body::Schema(_) => Err(runtime::Error::fatal("a batch has a schema change beside other events")),
            _ => Err(runtime::Error::data("the event is of a kind that this sink does not know")),
        }
    }

    fn route_row(&mut self, row: &RowChange) -> Result<Route, runtime::Error> {
        if let Some(unknown) = self.find_route(&row.schema)? {
            return Ok(Route::Unknown(unknown));
        }
        // The new values decide where an update goes.
        let image = row.newest().ok_or_else(|| runtime::Error::data("a row change has no image of the row"))?;
        let to = self.target_of(&row.schema, image)?;
        if self.rules.key_change == KeyChange::Split
            && let Some(from) = self.moved_from(row, to)?
        {
            return Ok(Route::Moved { from, to });
        }
        Ok(Route::To(to))
    }

    /// The partition that an update moves a row from, if it changes the partition or the key of the row; `to` is the partition of the new
    /// row. [`Router::find_route`] must have been called for the table before.
    pub(crate) fn moved_from(&mut self, row: &RowChange, to: Target) -> Result<Option<Target>, runtime::Error> {
        let (Op::Update, Some(before), Some(after)) = (row.op, &row.before, &row.after) else { return Ok(None) };
        if !self.may_move(before, after) {
            return Ok(None);
        }
        let from = self.target_of(&row.schema, before)?;
        let [mut old, mut new] = std::mem::take(&mut self.keys);
        let keyed = self.write_row_key(&row.schema, before, &mut old).and_then(|keyed| {
            self.write_row_key(&row.schema, after, &mut new)?;
            Ok(keyed)
        });
        // The texts are compared, because keys with different values may have the same text.
        let moved = from != to || (keyed? && old != new);
        self.keys = [old, new];
        Ok(moved.then_some(from))
    }

    /// The partition for a record about this row image. [`Router::find_route`] must have been called for the table before.
    pub(crate) fn target_of(&mut self, schema: &TableSchema, image: &Row) -> Result<Target, runtime::Error> {
        let Self { routes, recent, scratch, .. } = self;
        let route = routes.get(recent.1).ok_or_else(|| runtime::Error::fatal("the remembered route of a table is missing"))?;
        let partition = match &route.choice {
            Choice::Fixed(partition) => *partition,
            Choice::Columns(columns) => partitioner::of_key(schema, columns, image, route.partitions, scratch)?,
        };
        Ok(Target { topic: route.topic, partition })
    }

    /// Looks up the route of a table and makes it the recent one, which other functions use. Returns the topic if it must be added first.
    pub(crate) fn find_route(&mut self, schema: &Arc<TableSchema>) -> Result<Option<Arc<str>>, Error> {
        let address = Arc::as_ptr(schema) as usize;
        if self.recent.0 != address {
            let index = match self.by_address.get(&address) {
                Some(&index) => index,
                None => match self.remember(schema)? {
                    Ok(index) => index,
                    Err(unknown) => return Ok(Some(unknown)),
                },
            };
            self.recent = (address, index);
        }
        Ok(None)
    }

    /// Computes the route of a table and adds it to the cache. The inner error is the topic that must be added first.
    fn remember(&mut self, schema: &Arc<TableSchema>) -> Result<Result<usize, Arc<str>>, Error> {
        let name = self.topic_of(&schema.id)?;
        let Some(topic) = self.topic_index(&name) else { return Ok(Err(name)) };
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
            self.by_address.clear();
        }
        let partitions = self.partitions(topic);
        let (columns, key) = (deciding_columns(&self.rules, schema)?, row_key(&self.rules, schema));
        self.note_deciding(schema, Deciding::new(schema, &columns, key.as_ref()), partitions);
        let partitioning = &self.rules.partitioning;
        let choice = match partitioning.policy {
            PartitionPolicy::Zero if !partitioning.columns.contains_key(&schema.id) => Choice::Fixed(0),
            PartitionPolicy::Table if !partitioning.columns.contains_key(&schema.id) => {
                Choice::Fixed(partitioner::of_table(&schema.id, partitions))
            }
            PartitionPolicy::Zero | PartitionPolicy::Table | PartitionPolicy::PrimaryKey => Choice::Columns(columns),
        };
        let index = self.routes.len();
        self.routes.push(TableRoute { _schema: schema.clone(), topic, partitions, choice, key });
        self.by_address.insert(Arc::as_ptr(schema) as usize, index);
        Ok(Ok(index))
    }

    /// Notes by which columns the rows of a table are routed from now on. If they were routed by others before, the order of the records of
    /// one row is that of its new key only.
    fn note_deciding(&mut self, schema: &TableSchema, now: Deciding, partitions: usize) {
        if let Some(what) = self.deciding.get(&schema.id).and_then(|before| now.difference(before, partitions)) {
            let what = format!("after a schema change {what}: the order of the records with one key starts anew there");
            self.notices.warn(&schema.id, what);
        }
        self.deciding.insert(schema.id.clone(), now);
    }

    /// Writes the key of a row image into `out`. Returns false if rows of the table have no key. [`Router::find_route`] must have been
    /// called for the table before.
    pub(crate) fn write_row_key(&mut self, schema: &TableSchema, image: &Row, out: &mut Vec<u8>) -> Result<bool, runtime::Error> {
        let Self { routes, recent, scratch, .. } = self;
        match routes.get(recent.1).and_then(|route| route.key.as_ref()) {
            Some(key) => key.write(schema, image, out, scratch).map(|()| true),
            None => Ok(false),
        }
    }

    /// Writes the key of a record that is not about a row into `out`. Returns false if such records have no key.
    pub(crate) fn write_control_key(&self, body: &Body, split: u32, out: &mut Vec<u8>) -> bool {
        if self.rules.record_key == RecordKey::None {
            return false;
        }
        record_key::write_control_key(body, split, out);
        true
    }

    /// Whether an update changes a column that the key or the partition of the row depends on.
    fn may_move(&self, before: &Row, after: &Row) -> bool {
        let Some(TableRoute { choice, key, .. }) = self.routes.get(self.recent.1) else { return false };
        let deciding = match choice {
            Choice::Fixed(_) => &[][..],
            Choice::Columns(columns) => columns,
        };
        let of_key = key.as_ref().map_or(&[][..], RowKey::columns);
        of_key.iter().chain(deciding).any(|&column| !is_same(before.get(column), after.get(column)))
    }

    fn partitions(&self, topic: usize) -> usize {
        self.topics.get(topic).map_or(1, |(_, partitions)| *partitions)
    }

    /// Decides where a schema change goes. With a topic for schema changes it goes there; otherwise it goes to the topic of every table
    /// that it changes. Within the topic it goes to the partition of the table's rows if they share one, otherwise to partition 0.
    pub(crate) fn route_schema_change(&mut self, change: &SchemaChange) -> Result<Vec<Route>, Error> {
        let tables: Vec<TableId> = change.tables.iter().map(|(table, _)| table.clone()).collect();
        let ddl_topic = self.rules.ddl_topic.clone();
        let mut routes = Vec::new();
        if tables.is_empty() {
            let name = ddl_topic.clone().or_else(|| self.rules.topic.fixed().map(Arc::from)).ok_or(Error::NoDdlTopic)?;
            routes.push(self.topic_index(&name).map_or(Route::Unknown(name), |topic| Route::To(Target { topic, partition: 0 })));
        }
        for table in &tables {
            let name = match &ddl_topic {
                Some(name) => name.clone(),
                None => self.topic_of(table)?,
            };
            let route = match self.topic_index(&name) {
                None => Route::Unknown(name),
                Some(topic) => {
                    let partitioning = &self.rules.partitioning;
                    let together = partitioning.policy == PartitionPolicy::Table && !partitioning.columns.contains_key(table);
                    let partition = if together { partitioner::of_table(table, self.partitions(topic)) } else { 0 };
                    Route::To(Target { topic, partition })
                }
            };
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        Ok(routes)
    }

    /// The topic of a table. It is an error if a template produces the same topic for two tables, because the purpose of a template is to
    /// separate tables.
    fn topic_of(&mut self, table: &TableId) -> Result<Arc<str>, Error> {
        if let Some(name) = self.rules.topic.fixed() {
            return Ok(name.into());
        }
        let name = self.rules.topic.render(table).map_err(|problem| Error::TopicName { table: table.to_string(), problem })?;
        let name: Arc<str> = name.into();
        match self.owners.claim(&name, table) {
            Ok(()) => Ok(name),
            Err(owner) => Err(Error::TopicsCollide { topic: name.to_string(), first: owner.to_string(), second: table.to_string() }),
        }
    }
}

/// Whether two values have the same text. Zero and minus zero are equal, but their texts differ.
fn is_same(one: Value<'_>, other: Value<'_>) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
        (Value::Double(one), Value::Double(other)) => one.to_bits() == other.to_bits(),
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use runtime::{Column, ColumnKind, Op, Row, SchemaChangeKind, Seq, Value};

    use super::super::rules::Partitioning;
    use super::super::topic_template::TopicTemplate;
    use super::*;

    fn rules(topic: &str, policy: PartitionPolicy, ddl_topic: Option<&str>) -> RoutingRules {
        RoutingRules {
            topic: TopicTemplate::parse(topic).unwrap(),
            ddl_topic: ddl_topic.map(Arc::from),
            partitioning: Partitioning { policy, ..Partitioning::default() },
            record_key: RecordKey::None,
            tombstones: false,
            key_change: KeyChange::Keep,
        }
    }

    fn notices() -> Notices {
        runtime::Context::testing("t").notices().clone()
    }

    fn with_rules(rules: RoutingRules) -> Router {
        Router::new(Arc::new(rules), TopicOwners::default(), notices(), &[])
    }

    fn router(topic: &str, policy: PartitionPolicy, ddl_topic: Option<&str>) -> Router {
        with_rules(rules(topic, policy, ddl_topic))
    }

    #[test]
    fn columns_decide_for_their_table_alone() {
        let columns = [("shop.orders", "id"), ("shop.odd", "customer")].map(|(table, column)| (table.to_owned(), vec![column.to_owned()]));
        let partitioning = Partitioning::new(PartitionPolicy::Table, &BTreeMap::from(columns)).unwrap();
        let rules = RoutingRules { partitioning, ..rules("t", PartitionPolicy::Table, None) };
        let mut router = with_rules(rules);
        router.add_topic("t".into(), 100);
        let by_id: Vec<Route> = (0..20).map(|id| router.route(&row("orders", id, None)).unwrap()).collect();
        assert!(by_id.windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(router.route(&row("orders", 7, Some(3))).unwrap(), by_id[7], "an update goes where its new values go");
        assert_eq!(router.route(&row("other", 1, None)).unwrap(), router.route(&row("other", 2, None)).unwrap());
        let error = router.route(&row("odd", 1, None)).unwrap_err();
        assert_eq!(error.kind(), runtime::Kind::Config);
        assert!(error.to_string().contains("shop.odd") && error.to_string().contains("customer"), "{error}");
    }

    #[test]
    fn other_deciding_columns_are_noticed_also_those_of_the_start() {
        let row = |columns: &[&str], key: &[usize]| {
            let columns: Vec<Column> = columns.iter().map(|name| Column::new(*name, ColumnKind::Int { bytes: 8 }, "bigint")).collect();
            let image = Row::from_values(columns.iter().map(|_| Value::Int(1)));
            let mut schema = TableSchema::new(TableId::new("shop", "orders"), columns);
            schema.primary_key = key.to_vec();
            event(Body::Row(RowChange::new(Arc::new(schema), Op::Insert, None, Some(image))))
        };
        let schema = |event: &Event| if let Body::Row(row) = &event.body { row.schema.clone() } else { panic!() };
        let (first, wider, moved) = (row(&["id"], &[0]), row(&["id", "a"], &[0]), row(&["id", "a"], &[1]));
        for (policy, record_key, partitions, expected) in [
            (PartitionPolicy::PrimaryKey, RecordKey::None, 3, Some("(a) decide the partition, instead of (id):")),
            (PartitionPolicy::PrimaryKey, RecordKey::None, 1, None),
            (PartitionPolicy::Zero, RecordKey::PrimaryKey, 1, Some("(a) are the record key, instead of (id):")),
            (PartitionPolicy::Table, RecordKey::Table, 3, None),
            (PartitionPolicy::PrimaryKey, RecordKey::PrimaryKey, 3, Some("instead of (id); (a) are the record key, instead of (id):")),
        ] {
            for from_start in [false, true] {
                let (notices, rules) = (notices(), RoutingRules { record_key, ..rules("t", policy, None) });
                let tables = if from_start { vec![schema(&first)] } else { Vec::new() };
                let mut router = Router::new(Arc::new(rules), TopicOwners::default(), notices.clone(), &tables);
                router.add_topic("t".into(), partitions);
                if !from_start {
                    router.route(&first).unwrap();
                }
                router.route(&wider).unwrap();
                assert!(notices.list().is_empty(), "{:?}", notices.list());
                router.route(&moved).unwrap();
                let said: Vec<(TableId, String)> = notices.list().into_iter().map(|notice| (notice.table, notice.what)).collect();
                match (expected, said.as_slice()) {
                    (None, []) => {}
                    (Some(expected), [(table, what)]) => {
                        assert!(*table == TableId::new("shop", "orders") && what.contains(expected), "{what}");
                    }
                    _ => panic!("{policy:?} {record_key:?} {partitions}: {said:?}"),
                }
                router.route(&moved).unwrap();
                assert_eq!(notices.list().len(), said.len());
            }
        }
    }

    #[test]
    fn lanes_share_what_topics_belong_to() {
        let (rules, owners) = (Arc::new(rules("{table}", PartitionPolicy::Zero, None)), TopicOwners::default());
        let mut lanes = [(); 2].map(|()| Router::new(rules.clone(), owners.clone(), notices(), &[]));
        lanes[0].route(&row("a$", 1, None)).unwrap();
        lanes[1].route(&row("a$", 1, None)).unwrap();
        assert!(lanes[1].route(&row("a_24", 1, None)).unwrap_err().to_string().contains("a$"));
    }

    #[test]
    fn an_update_moves_if_its_key_or_its_partition_may_change() {
        let moves = |policy, before, after| {
            let rules = RoutingRules { record_key: RecordKey::PrimaryKey, ..rules("t", policy, None) };
            let mut router = with_rules(rules);
            router.add_topic("t".into(), 10);
            let event = row("orders", after, Some(before));
            router.route(&event).unwrap();
            let Body::Row(change) = &event.body else { panic!() };
            router.may_move(change.before.as_ref().unwrap(), change.after.as_ref().unwrap())
        };
        assert!(moves(PartitionPolicy::Zero, 1, 2) && moves(PartitionPolicy::PrimaryKey, 1, 2));
        assert!(!moves(PartitionPolicy::Zero, 2, 2));
    }

    fn row(table: &str, key: i64, before: Option<i64>) -> Event {
        let mut schema = TableSchema::new(TableId::new("shop", table), vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint")]);
        schema.primary_key = vec![0];
        let image = |value| Row::from_values([Value::Int(value)]);
        event(Body::Row(RowChange::new(Arc::new(schema), Op::Update, before.map(image), Some(image(key)))))
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
    fn an_unknown_topic_is_named_and_then_used() {
        let mut router = router("{table}", PartitionPolicy::Zero, None);
        let event = row("orders", 1, None);
        assert_eq!(router.route(&event).unwrap(), Route::Unknown("orders".into()));
        let topic = router.add_topic("orders".into(), 3);
        assert_eq!(router.route(&event).unwrap(), Route::To(Target { topic, partition: 0 }));
        assert_eq!(router.route(&self::event(Body::Begin)).unwrap(), Route::Nowhere);
    }

    #[test]
    fn tables_that_fall_on_one_topic_are_refused() {
        let mut router = router("{table}", PartitionPolicy::Zero, None);
        router.route(&row("a$", 1, None)).unwrap();
        let error = router.route(&row("a_24", 1, None)).unwrap_err();
        assert_eq!(error.kind(), runtime::Kind::Config);
        assert!(error.to_string().contains("a_24") && error.to_string().contains("a$"), "{error}");
    }

    #[test]
    fn an_update_goes_where_its_new_key_goes() {
        let mut router = router("t", PartitionPolicy::PrimaryKey, None);
        router.add_topic("t".into(), 10);
        let (one, two) = (router.route(&row("x", 1, None)).unwrap(), router.route(&row("x", 2, None)).unwrap());
        assert_ne!(one, two);
        assert_eq!(router.route(&row("x", 2, Some(1))).unwrap(), two);
    }

    #[test]
    fn an_update_that_moves_a_row_is_split() {
        let split = |policy, record_key| RoutingRules { key_change: KeyChange::Split, record_key, ..rules("t", policy, None) };
        let mut by_key = with_rules(split(PartitionPolicy::PrimaryKey, RecordKey::None));
        by_key.add_topic("t".into(), 10);
        let target = |route| match route {
            Route::To(target) => target,
            other => panic!("{other:?}"),
        };
        let from = target(by_key.route(&row("x", 1, None)).unwrap());
        let to = target(by_key.route(&row("x", 2, Some(2))).unwrap());
        assert_eq!(by_key.route(&row("x", 2, Some(1))).unwrap(), Route::Moved { from, to });
        // In one partition only the record key matters.
        for (record_key, moved) in [(RecordKey::None, false), (RecordKey::Table, false), (RecordKey::PrimaryKey, true)] {
            let mut router = with_rules(split(PartitionPolicy::Zero, record_key));
            router.add_topic("t".into(), 10);
            let route = router.route(&row("x", 2, Some(1))).unwrap();
            assert_eq!(matches!(route, Route::Moved { .. }), moved, "{record_key:?}");
        }
    }

    #[test]
    fn zero_and_minus_zero_are_two_texts() {
        assert!(!is_same(Value::Double(0.0), Value::Double(-0.0)) && !is_same(Value::Float(0.0), Value::Float(-0.0)));
        assert!(is_same(Value::Double(1.5), Value::Double(1.5)) && !is_same(Value::Text(b"a"), Value::Text(b"A")));
    }

    #[test]
    fn schema_changes_follow_their_policy() {
        let mut by_table = router("t", PartitionPolicy::Table, None);
        by_table.add_topic("t".into(), 8);
        let row_route = by_table.route(&row("orders", 5, None)).unwrap();
        assert_eq!(by_table.route_schema_change(&ddl(&["orders"])).unwrap(), [row_route]);
        assert_eq!(by_table.route_schema_change(&ddl(&[])).unwrap(), [Route::To(Target { topic: 0, partition: 0 })]);

        let mut by_key = router("t", PartitionPolicy::PrimaryKey, None);
        by_key.add_topic("t".into(), 8);
        assert_eq!(by_key.route_schema_change(&ddl(&["a", "b"])).unwrap(), [Route::To(Target { topic: 0, partition: 0 })]);

        let mut templated = router("{table}", PartitionPolicy::Zero, None);
        templated.add_topic("a".into(), 1);
        templated.add_topic("b".into(), 1);
        let both = [Route::To(Target { topic: 0, partition: 0 }), Route::To(Target { topic: 1, partition: 0 })];
        assert_eq!(templated.route_schema_change(&ddl(&["a", "b"])).unwrap(), both);
        let error = runtime::Error::from(templated.route_schema_change(&ddl(&[])).unwrap_err());
        assert!(error.kind() == runtime::Kind::Config && error.to_string().contains("ddl_topic"), "{error}");

        let mut apart = router("{table}", PartitionPolicy::Zero, Some("ddl"));
        assert_eq!(apart.rules().fixed_topics(), [Arc::from("ddl")]);
        assert_eq!(apart.route_schema_change(&ddl(&["a"])).unwrap(), [Route::Unknown("ddl".into())]);
    }
}
