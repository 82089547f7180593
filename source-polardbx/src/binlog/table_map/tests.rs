use proptest::prelude::*;
use runtime::{Collation, ColumnKind, KeyPart, OtherKey, UniqueKey};

use super::*;

/// The profile of a server without differences from MySQL.
fn mysql() -> ServerProfile {
    ServerProfile::new("8.0.15")
}

/// The body of the TABLE_MAP of `d.t`. Each column is its type, its metadata, and whether it is nullable.
fn body(columns: &[(u8, &[u8], bool)], optional: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 1, b't', 0, columns.len() as u8];
    body.extend(columns.iter().map(|(kind, ..)| *kind));
    let metadata: Vec<u8> = columns.iter().flat_map(|(_, metadata, _)| metadata.iter().copied()).collect();
    body.push(metadata.len() as u8);
    body.extend(metadata);
    let mut nullable = vec![0; columns.len().div_ceil(8)];
    for (index, _) in columns.iter().enumerate().filter(|(_, (.., nullable))| *nullable) {
        nullable[index / 8] |= 1 << (index % 8);
    }
    body.extend(nullable);
    body.extend(optional);
    body
}

/// A field of the optional metadata.
fn part(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, value.len() as u8][..], value].concat()
}

const COLUMNS: &[(u8, &[u8], bool)] = &[
    (field::LONGLONG, &[], true),
    (field::YEAR, &[], true),
    (field::NEWDECIMAL, &[5, 2], true),
    (field::VARCHAR, &[36, 0], true),
    (field::BLOB, &[2], true),
    (field::STRING, &[field::ENUM, 1], true),
];
const NAMES: &[u8] = b"\x02id\x01y\x01n\x01t\x01b\x01e";

/// The schema that `COLUMNS` show.
fn schema() -> Arc<TableSchema> {
    let mut id = Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20) unsigned");
    id.unsigned = true;
    let year = Column::new("y", ColumnKind::Year, "year");
    let amount = Column::new("n", ColumnKind::Decimal { precision: 5, scale: 2 }, "decimal(5,2)");
    let mut text = Column::new("t", ColumnKind::Varchar { length: 9 }, "varchar(9)");
    text.collation = Some(Collation::new("utf8mb4_general_ci"));
    let bytes = Column::new("b", ColumnKind::Blob { prefix: 2 }, "blob");
    let mut choice = Column::new("e", ColumnKind::Enum { labels: vec!["a".into(), "é".into()] }, "enum('a','é')");
    choice.collation = Some(Collation::new("latin1_swedish_ci"));
    let mut schema = TableSchema::new(TableId::new("d", "t"), vec![id, year, amount, text, bytes, choice]);
    schema.primary_key = vec![0];
    schema.version = 7;
    Arc::new(schema)
}

/// What is said of a TABLE_MAP that does not match the schema.
fn said(optional: &[u8]) -> Option<String> {
    let body = body(COLUMNS, optional);
    row_layout(&read_table_map(&body).unwrap(), &schema(), &mysql(), &[]).err().map(|error| error.to_string())
}

#[test]
fn what_fits_is_taken() {
    let all = [
        part(1, &[0b1000_0000]),
        part(2, &[45, 1, 63]),
        part(10, &[8]),
        part(4, NAMES),
        part(6, b"\x02\x01a\x01\xe9"),
        part(8, &[0]),
        part(99, b"??"),
    ];
    assert_eq!(said(&all.concat()), None);
    assert_eq!(said(&[part(4, NAMES), part(9, &[0, 5])].concat()), None);
    assert_eq!(said(&part(3, &[45, 63])), None);
    assert_eq!(said(&[]), None);
    // For MariaDB, YEAR is a number.
    let body = body(COLUMNS, &part(1, &[0b1100_0000]));
    row_layout(&read_table_map(&body).unwrap(), &schema(), &ServerProfile::new("10.11.6-MariaDB"), &[]).unwrap();
}

#[test]
fn what_does_not_fit_is_named() {
    for (optional, expected) in [
        (part(1, &[0b0100_0000]), "`id` is signed in the binlog, unsigned"),
        (part(1, &[0b1110_0000]), "`n` is unsigned"),
        (part(2, &[8, 1, 63]), "`t` is in the character set latin1"),
        (part(2, &[45]), "`b` is in the character set utf8mb4 in the binlog, in binary"),
        (part(3, &[45, 45]), "`b` is"),
        (part(10, &[45]), "`e` is in the character set utf8mb4"),
        (part(4, b"\x02ID\x01y\x01n\x01t\x01b\x01e"), "called `ID`"),
        (part(6, b"\x01\x01a"), "of 1 labels in the binlog, of 2"),
        (part(6, b"\x02\x01a\x01e"), "with the label \"e\""),
        (part(4, NAMES), "the primary key is none in the binlog, `id`"),
        ([part(4, NAMES), part(8, &[3])].concat(), "the primary key is `t`"),
        (part(1, &[]), "do not belong to its columns"),
        (part(1, &[0b1000_0000, 0]), "do not belong to its columns"),
        (part(2, &[45, 7, 63]), "of no column"),
        (vec![4, 200], "in the middle of a field"),
    ] {
        assert!(said(&optional).is_some_and(|said| said.contains(expected)), "{optional:?}: {:?}", said(&optional));
    }
}

#[test]
fn an_error_shows_both_descriptions() {
    let body = body(&[(field::LONG, &[], false), (field::VARCHAR, &[80, 0], true)], &[]);
    let error = row_layout(&read_table_map(&body).unwrap(), &schema(), &mysql(), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the binlog shows 2 columns, the known schema has 6; the known schema is (`id` bigint(20) unsigned, `y` year, `n` decimal(5,2), `t` \
         varchar(9) utf8mb4, `b` blob, `e` enum('a','é') latin1, primary key `id`), and the binlog shows (int not null, varchar or varbinary of \
         80 bytes)"
    );
}

/// What MySQL 8.0.15 has written for `CREATE TABLE a (id INT PRIMARY KEY, n VARCHAR(10) CHARACTER SET latin1, e ENUM('x','y'), KEY k
/// ((LOWER(n))), UNIQUE KEY u ((id + 1), (CAST(n AS CHAR(5)))), b INT UNSIGNED, y YEAR)` behind `ADD z INT FIRST, ADD w VARCHAR(3)`.
fn with_expressions() -> Vec<u8> {
    let hidden = ["28d61f7b1f07d88c18f1068410d140b5", "3e334e859879af256d3827d651b7804a", "e4774cdda0793f86414e8b9140bb6db4"];
    let names = [&["z", "id", "n", "e", "b", "y"][..], &hidden, &["w"]].concat();
    let names: Vec<u8> = names.iter().flat_map(|name| [&[name.len() as u8][..], name.as_bytes()].concat()).collect();
    let optional = [
        part(1, &[0x20]),
        part(3, &[8, 8, 33, 0xfc, 0xff, 0]),
        part(4, &names),
        part(10, &[0xfc, 0xff, 0]),
        part(6, b"\x02\x01x\x01y"),
        part(8, &[1]),
    ];
    let columns: &[(u8, &[u8], bool)] = &[
        (field::LONG, &[], true),
        (field::LONG, &[], false),
        (field::VARCHAR, &[10, 0], true),
        (field::STRING, &[field::ENUM, 1], true),
        (field::LONG, &[], true),
        (field::YEAR, &[], true),
        (field::VARCHAR, &[10, 0], true),
        (field::LONGLONG, &[], true),
        (field::VARCHAR, &[15, 0], true),
        (field::VARCHAR, &[12, 0], true),
    ];
    body(columns, &optional.concat())
}

#[test]
fn a_table_is_rebuilt_without_the_columns_of_expressions() {
    let body = with_expressions();
    let map = read_table_map(&body).unwrap();
    let absent = [6, 7, 8];
    assert!(has_full_metadata(&map, &mysql()).unwrap());
    assert!(are_expressions(&map, &absent, &mysql()).unwrap() && !are_expressions(&map, &[5], &mysql()).unwrap());
    let rebuilt = Arc::new(rebuilt_schema(&map, None, &mysql(), &absent).unwrap());
    let columns: Vec<_> = rebuilt.columns.iter().map(|column| (column.name.as_str(), column.source_type.as_str())).collect();
    assert_eq!(
        columns,
        [
            ("z", "int"),
            ("id", "int"),
            ("n", "varchar(10)"),
            ("e", "enum('x','y')"),
            ("b", "int unsigned"),
            ("y", "year"),
            ("w", "varchar(3)")
        ]
    );
    assert_eq!((rebuilt.primary_key.as_slice(), rebuilt.version), (&[1][..], 1));
    let charsets: Vec<_> = rebuilt.columns.iter().map(|column| column.charset()).collect();
    assert_eq!(charsets, [None, None, Some("latin1"), Some("utf8mb4"), None, None, Some("utf8mb4")]);
    assert!(!rebuilt.columns[1].nullable && rebuilt.columns[4].unsigned);
    let layout = row_layout(&map, &rebuilt, &mysql(), &absent).unwrap();
    assert_eq!((layout.width(), layout.image_width(), layout.absent.as_slice()), (10, 7, &absent[..]));
    let error = row_layout(&map, &rebuilt, &mysql(), &[0, 7, 8]).unwrap_err();
    assert!(
        error.to_string().contains("column `z` is int by the known schema, but the binlog shows type 3 with")
            || error.to_string().contains("`z`")
    );
}

#[test]
fn another_collation_is_taken_from_the_binlog() {
    let shown = |collations: &[u8]| {
        let body = body(COLUMNS, &[part(1, &[0x80]), part(2, collations)].concat());
        let map = read_table_map(&body).unwrap();
        assert!(row_layout(&map, &schema(), &mysql(), &[]).is_ok());
        with_shown_collations(&map, &schema(), &mysql(), &[]).unwrap()
    };
    assert_eq!(shown(&[45, 1, 63]), None);
    // Of this number nothing but the character set is known.
    assert_eq!(shown(&[0xfc, 16, 1, 1, 63]), None);
    let corrected = shown(&[46, 1, 63]).unwrap();
    let mut expected = TableSchema::clone(&schema());
    (expected.columns[3].collation, expected.version) = (Some(Collation::new("utf8mb4_bin")), 8);
    assert_eq!(corrected, expected);
}

#[test]
fn what_is_known_is_kept_where_it_still_holds() {
    let mut known = TableSchema::clone(&schema());
    known.unique_keys = vec![UniqueKey { name: "u".into(), columns: vec![3, 0] }, UniqueKey { name: "gone".into(), columns: vec![1] }];
    known.other_keys = vec![OtherKey { name: "k".into(), unique: false, parts: vec![KeyPart::Column { column: 5, prefix: None }] }];
    known.partition_columns = vec![3, 1];
    known.collation = Some(Collation::new("gbk_bin"));
    // `y` is gone, `n` has other digits, and `x` is new.
    let columns: &[(u8, &[u8], bool)] = &[
        (field::TINY, &[], true),
        (field::LONGLONG, &[], true),
        (field::NEWDECIMAL, &[6, 2], true),
        (field::VARCHAR, &[36, 0], true),
        (field::BLOB, &[2], true),
        (field::STRING, &[field::ENUM, 1], true),
    ];
    let optional = [
        part(1, &[0b1100_0000]),
        part(2, &[45, 1, 63]),
        part(4, b"\x01x\x02id\x01n\x01t\x01b\x01e"),
        part(6, b"\x02\x01a\x01\xe9"),
        part(10, &[8]),
        part(8, &[1]),
    ];
    let body = body(columns, &optional.concat());
    let rebuilt = rebuilt_schema(&read_table_map(&body).unwrap(), Some(&known), &mysql(), &[]).unwrap();
    let types: Vec<_> = rebuilt.columns.iter().map(|column| column.source_type.as_str()).collect();
    assert_eq!(types, ["tinyint unsigned", "bigint(20) unsigned", "decimal(6,2)", "varchar(9)", "blob", "enum('a','é')"]);
    assert_eq!(rebuilt.unique_keys, [UniqueKey { name: "u".into(), columns: vec![3, 1] }]);
    assert_eq!((&rebuilt.other_keys, &rebuilt.partition_columns), (&known.other_keys, &vec![3]));
    assert_eq!(
        (rebuilt.version, rebuilt.collation.as_ref().map(Collation::name), rebuilt.primary_key.as_slice()),
        (8, Some("gbk_bin"), &[1][..])
    );
}

#[test]
fn what_metadata_leaves_open_is_not_guessed() {
    let maria = ServerProfile::new("10.11.6-MariaDB-log");
    for (kind, metadata, optional, profile, expected) in [
        (field::STRING, &[0xfe, 16][..], part(2, &[63]), &maria, "`c` may be binary(16), uuid or inet6"),
        (field::STRING, &[0xfe, 4], part(2, &[63]), &maria, "`c` may be binary(4) or inet4"),
        (field::VARCHAR, &[8, 0], part(2, &[63]), &ServerProfile::new("11.8.1-MariaDB"), "`c` may be varbinary(8) or vector(2)"),
        (field::VARCHAR, &[10, 0], part(2, &[45]), &mysql(), "`c` has 10 bytes of utf8mb4"),
        (field::VARCHAR, &[10, 0], part(2, &[0xfc, 0x0f, 0x27]), &mysql(), "unknown number 9999"),
        (field::VARCHAR, &[10, 0], Vec::new(), &mysql(), "`c` has no character set"),
        (field::LONG, &[], Vec::new(), &mysql(), "`c` may be signed or not"),
        (field::GEOMETRY, &[4], Vec::new(), &mysql(), "no known kind of geometry"),
        (field::VECTOR, &[4], Vec::new(), &mysql(), "how many numbers"),
        (field::STRING, &[field::ENUM, 1], part(10, &[45]), &mysql(), "`c` has no labels"),
        (field::BIT, &[1, 8], Vec::new(), &mysql(), "`c` has 65 bits"),
    ] {
        let body = body(&[(kind, metadata, true)], &[part(4, b"\x01c"), optional].concat());
        let error = rebuilt_schema(&read_table_map(&body).unwrap(), None, profile, &[]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("the known schema is not known"), "{expected}: {error}");
    }
}

/// What MariaDB 10.11 has written for `CREATE TABLE t (id INT PRIMARY KEY, v TEXT, UNIQUE (v))` behind `ADD x INT`.
#[test]
fn the_hashes_of_mariadb_are_no_columns() {
    let maria = ServerProfile::new("10.11.19-MariaDB-log");
    let columns: &[(u8, &[u8], bool)] =
        &[(field::LONG, &[], false), (field::BLOB, &[2], true), (field::LONG, &[], true), (field::LONGLONG, &[], true)];
    let optional = [part(1, &[0x20]), part(2, &[8]), part(4, b"\x02id\x01v\x01x\x0dDB_ROW_HASH_1"), part(8, &[0])];
    let body = body(columns, &optional.concat());
    let map = read_table_map(&body).unwrap();
    let mut known = TableSchema::new(
        TableId::new("d", "t"),
        vec![Column::new("id", ColumnKind::Int { bytes: 4 }, "int(11)"), Column::new("v", ColumnKind::Text { prefix: 2 }, "text")],
    );
    known.columns[0].nullable = false;
    known.columns[1].collation = Some(runtime::Collation::new("latin1_swedish_ci"));
    known.primary_key = vec![0];
    known.unique_keys = vec![UniqueKey { name: "v".into(), columns: vec![1] }];
    let rebuilt = Arc::new(rebuilt_schema(&map, Some(&known), &maria, &[]).unwrap());
    assert_eq!(rebuilt.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id", "v", "x"]);
    assert_eq!((row_layout(&map, &rebuilt, &maria, &[]).unwrap().hidden, &rebuilt.unique_keys), (1, &known.unique_keys));
    // Without the key, it may be a column of a user as well.
    let open = "the last column may be a hash";
    let mut keyless = known.clone();
    keyless.unique_keys.clear();
    for known in [None, Some(&keyless)] {
        let error = rebuilt_schema(&map, known, &maria, &[]).unwrap_err().to_string();
        assert!(error.contains(open), "{error}");
    }
    let mut own = known.clone();
    own.columns.push(Column::new("DB_ROW_HASH_1", ColumnKind::Int { bytes: 8 }, "bigint(20) unsigned"));
    own.columns[2].unsigned = true;
    assert_eq!(rebuilt_schema(&map, Some(&own), &maria, &[]).unwrap().columns.len(), 4);
}

/// Builds the TABLE_MAP of columns of these types, which need no metadata, and returns the signs that are read from it.
fn signs(kinds: &[u8], bits: &[u8], version: &str) -> Option<Vec<Option<bool>>> {
    let columns: Vec<(u8, &[u8], bool)> = kinds.iter().map(|&kind| (kind, &[][..], true)).collect();
    let body = body(&columns, &part(1, bits));
    let description = Description::read(&read_table_map(&body).unwrap(), &ServerProfile::new(version)).ok()?;
    Some(description.columns.iter().map(|column| column.unsigned).collect())
}

#[test]
fn a_year_has_a_sign_on_some_servers() {
    use field::{LONG as INT, YEAR};
    const NONE: Option<bool> = None;
    const SIGNED: Option<bool> = Some(false);
    const UNSIGNED: Option<bool> = Some(true);
    let (old, new, maria) = ("8.0.15", "9.7.4-2", "10.11.19-MariaDB-log");
    // `id INT, y YEAR, n INT, u INT UNSIGNED, x INT`, as these servers write it. Without its version, nothing after the YEAR is certain.
    let one = [INT, YEAR, INT, INT, INT];
    let expected = Some(vec![SIGNED, NONE, SIGNED, UNSIGNED, SIGNED]);
    for (version, bits) in [(old, 0x20), (new, 0x50), (maria, 0x50)] {
        assert_eq!(signs(&one, &[bits], version), expected, "{version}");
    }
    // The last bit of the reading with a YEAR is a filling bit of the other one.
    assert_eq!(signs(&one, &[0x20], "8.0.20"), Some(vec![SIGNED, NONE, NONE, NONE, SIGNED]));
    assert_eq!(signs(&one, &[0x48], "8.0.20"), Some(vec![SIGNED, NONE, SIGNED, SIGNED, UNSIGNED]));
    // `id INT, y YEAR NOT NULL, y2 YEAR, n INT`.
    let two = [INT, YEAR, YEAR, INT];
    for (version, bits) in [(old, 0x00), (new, 0x60), (maria, 0x60), ("8.0.20", 0x60)] {
        assert_eq!(signs(&two, &[bits], version), Some(vec![SIGNED, NONE, NONE, SIGNED]), "{version}");
    }
    // Eight numbers and a YEAR: whatever the version, the number of bytes decides.
    let nine = [YEAR, INT, INT, INT, INT, INT, INT, INT, INT];
    let expected = Some([vec![NONE; 1], vec![SIGNED; 3], vec![UNSIGNED], vec![SIGNED; 4]].concat());
    for version in [old, new, maria, "8.0.20", "?"] {
        assert_eq!(signs(&nine, &[0x10], version), expected, "{version}");
        assert_eq!(signs(&nine, &[0x88, 0x00], version), expected, "{version}");
        assert_eq!(signs(&nine, &[0x88, 0x40], version), None, "{version}");
    }
    assert_eq!(signs(&[YEAR], &[], new), Some(vec![NONE]));
    assert_eq!(signs(&[YEAR], &[0x80], old), Some(vec![NONE]));
}

#[test]
fn the_version_that_wrote_the_file_decides() {
    let mut profile = ServerProfile::new("9.7.4");
    assert_eq!(profile.counts_years(), Some(true));
    for (version, expected) in [
        ("8.0.15", Some(false)),
        ("8.0.28-commercial", None),
        ("8.0.29", Some(true)),
        ("8.4.0-log", Some(true)),
        ("10.5.1-MariaDB", Some(true)),
        ("5.7.22-log", None),
        ("", None),
    ] {
        profile.set_writer(version);
        assert_eq!(profile.counts_years(), expected, "{version}");
    }
}

#[test]
fn a_sign_that_stays_open_is_neither_compared_nor_guessed() {
    let columns: &[(u8, &[u8], bool)] = &[(field::YEAR, &[], true), (field::LONG, &[], true), (field::LONG, &[], true)];
    let known = |unsigned| {
        let mut number = Column::new("n", ColumnKind::Int { bytes: 4 }, "int");
        number.unsigned = unsigned;
        let (year, other) = (Column::new("y", ColumnKind::Year, "year"), Column::new("m", ColumnKind::Int { bytes: 4 }, "int"));
        Arc::new(TableSchema::new(TableId::new("d", "t"), vec![year, number, other]))
    };
    let body = body(columns, &[part(1, &[0x80]), part(4, b"\x01y\x01n\x01m")].concat());
    let map = read_table_map(&body).unwrap();
    let profile = ServerProfile::new("8.0.20");
    for unsigned in [false, true] {
        assert!(row_layout(&map, &known(unsigned), &profile, &[]).is_ok());
    }
    let error = rebuilt_schema(&map, None, &profile, &[]).unwrap_err().to_string();
    assert!(error.contains("column `n` may be signed or not"), "{error}");
    let rebuilt = |version| rebuilt_schema(&map, None, &ServerProfile::new(version), &[]).unwrap();
    assert!(rebuilt("8.0.15").columns[1].unsigned && !rebuilt("9.7.4").columns[1].unsigned);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever the bytes are, nothing panics, and what is rebuilt matches the TABLE_MAP from which it was made.
    #[test]
    fn random_metadata(
        kind in 0..2usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in prop::option::weighted(0.25, (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40))),
        absent in prop::collection::btree_set(0..12usize, 0..4),
    ) {
        /// Where the number of columns stands, which is behind the names.
        const COUNT: usize = 14;
        let whole = [with_expressions(), body(COLUMNS, &[part(1, &[0x80]), part(4, NAMES), part(2, &[45, 1, 63])].concat())];
        let mut bytes = whole[kind].clone();
        for (place, byte) in &changes {
            let place = COUNT + place.index(bytes.len() - COUNT);
            bytes[place] = *byte;
        }
        if let Some((place, more)) = &end {
            bytes.truncate(COUNT + place.index(bytes.len() - COUNT));
            bytes.extend(more);
        }
        let Ok(map) = read_table_map(&bytes) else { return Ok(()) };
        let absent: Vec<usize> = absent.into_iter().collect();
        for profile in [mysql(), ServerProfile::new("10.11.6-MariaDB"), ServerProfile::new("5.7.25-TDDL-5.4.19")] {
            let _ = row_layout(&map, &schema(), &profile, &absent);
            let _ = are_expressions(&map, &absent, &profile);
            let _ = unknown_schema(&map, &profile);
            if let Ok(true) = has_full_metadata(&map, &profile)
                && let Ok(made) = rebuilt_schema(&map, Some(&schema()), &profile, &absent)
            {
                let layout = row_layout(&map, &Arc::new(made), &profile, &absent);
                let of_no_column = absent.iter().any(|&column| column >= map.width());
                prop_assert!(of_no_column || matches!(layout, Ok(_) | Err(StreamError::UnsupportedColumn { .. })), "{layout:?}");
            }
        }
    }
}
