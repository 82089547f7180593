//! The content of the golden files: every type of the servers, with values at its limits.

use tests::harness::Flavor;

use super::charsets;

/// A type and SQL literals for its values. NULL is added to every type as its last value and is not listed.
#[derive(Clone, Debug)]
pub(super) struct TypeCase {
    /// The name of the table for this type.
    pub(super) name: String,
    /// The column's definition.
    pub(super) definition: String,
    /// The literals. Neighbouring literals must be different values, because an update changes each row to the next literal.
    pub(super) literals: Vec<String>,
}

impl TypeCase {
    pub(super) fn new(name: &str, definition: &str, literals: &[&str]) -> Self {
        let literals = literals.iter().map(|&literal| literal.to_owned()).chain(["NULL".to_owned()]).collect();
        Self { name: name.to_owned(), definition: definition.to_owned(), literals }
    }
}

/// Every type that the server supports.
pub(super) fn all(flavor: Flavor) -> Vec<TypeCase> {
    let mut lists = vec![INTEGERS, NUMBERS, BITS, DATES, TIMES, DATETIMES, TIMESTAMPS, TEXTS, BYTES, LABELS, GEOMETRIES];
    match flavor {
        Flavor::MySql57 | Flavor::MySql80 | Flavor::PolarDbX => lists.push(JSON),
        Flavor::MySqlNewest => lists.extend([JSON, VECTORS]),
        Flavor::MariaDb => lists.push(MARIADB),
    }
    let plain = lists.into_iter().flatten().map(|(name, definition, literals)| TypeCase::new(name, definition, literals));
    plain.chain(charsets::all(flavor)).collect()
}

type List = &'static [(&'static str, &'static str, &'static [&'static str])];

const INTEGERS: List = &[
    ("tinyint", "TINYINT", &["7", "-128", "-1", "0", "127"]),
    ("tinyint_unsigned", "TINYINT UNSIGNED", &["7", "0", "127", "128", "255"]),
    ("boolean", "TINYINT(1)", &["1", "0", "-1"]),
    ("smallint", "SMALLINT", &["7", "-32768", "-1", "0", "32767"]),
    ("smallint_unsigned", "SMALLINT UNSIGNED", &["7", "0", "32768", "65535"]),
    ("mediumint", "MEDIUMINT", &["7", "-8388608", "-1", "0", "8388607"]),
    ("mediumint_unsigned", "MEDIUMINT UNSIGNED", &["7", "0", "8388608", "16777215"]),
    ("int", "INT", &["7", "-2147483648", "-1", "0", "2147483647"]),
    ("int_unsigned", "INT UNSIGNED", &["7", "0", "2147483648", "4294967295"]),
    ("int_zerofill", "INT(5) ZEROFILL", &["42", "0", "4294967295"]),
    ("bigint", "BIGINT", &["7", "-9223372036854775808", "-1", "0", "9223372036854775807"]),
    ("bigint_unsigned", "BIGINT UNSIGNED", &["7", "0", "9223372036854775808", "18446744073709551615"]),
    ("year", "YEAR", &["2024", "0", "1901", "2155"]),
];

const NUMBERS: List = &[
    ("decimal_10_2", "DECIMAL(10,2)", &["5.1", "0", "5", "-0.01", "99999999.99", "-99999999.99"]),
    ("decimal_5_0", "DECIMAL(5,0)", &["12", "0", "-99999", "99999"]),
    ("decimal_4_4", "DECIMAL(4,4)", &["0.5", "0", "-0.9999", "0.0001", "0.9999"]),
    ("decimal_20_10", "DECIMAL(20,10)", &["1.5", "0", "0.0000000001", "-9999999999.9999999999", "9999999999.9999999999"]),
    ("decimal_18_9_unsigned", "DECIMAL(18,9) UNSIGNED", &["1", "0", "999999999.999999999"]),
    (
        "decimal_65_30",
        "DECIMAL(65,30)",
        &[
            "12345678901234567890123456789012345.678901234567890123456789012345",
            "0",
            "1",
            "-0.000000000000000000000000000001",
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "99999999999999999999999999999999999.999999999999999999999999999999",
        ],
    ),
    ("decimal_65_0", "DECIMAL(65,0)", &["1", "-99999999999999999999999999999999999999999999999999999999999999999"]),
    (
        "float",
        "FLOAT",
        &["1.1", "0", "-1.5", "16777216", "3.4028234e38", "-3.4028234e38", "1.17549435e-38", "1e-45", "1e7", "0.001", "0.0001", "-0e0"],
    ),
    ("float_7_3", "FLOAT(7,3)", &["1.1", "0", "-9999.999", "0.001"]),
    (
        "double",
        "DOUBLE",
        &[
            "0.1",
            "0",
            "-0.1",
            "1e7",
            "9999999.5",
            "12345678.9",
            "1.7976931348623157e308",
            "-1.7976931348623157e308",
            "2.2250738585072014e-308",
            "4.9e-324",
            "2e23",
            "1e23",
            "9007199254740993",
            "0.001",
            "0.0001",
            "-0e0",
        ],
    ),
    ("double_10_4", "DOUBLE(10,4)", &["1.5", "0", "-999999.9999"]),
];

const BITS: List = &[
    ("bit_1", "BIT(1)", &["b'1'", "b'0'"]),
    ("bit_8", "BIT(8)", &["b'101'", "0", "255"]),
    ("bit_10", "BIT(10)", &["b'1000000001'", "0", "1023"]),
    ("bit_33", "BIT(33)", &["1", "0", "4294967296", "8589934591"]),
    ("bit_64", "BIT(64)", &["1", "0", "9223372036854775807", "9223372036854775808", "18446744073709551615"]),
];

const DATES: List = &[("date", "DATE", &["'2024-02-29'", "'0000-00-00'", "'2024-00-00'", "'2024-01-00'", "'1000-01-01'", "'9999-12-31'"])];

const TIMES: List = &[
    ("time_0", "TIME", &["'12:34:56'", "'00:00:00'", "'-838:59:59'", "'838:59:59'", "'-00:30:00'", "'100:00:00'", "'99:59:59'"]),
    ("time_1", "TIME(1)", &["'12:34:56.7'", "'00:00:00'", "'-00:00:00.1'", "'-01:00:00'", "'-838:59:58.9'", "'00:00:00.9'"]),
    ("time_2", "TIME(2)", &["'12:34:56.78'", "'-00:00:00.01'", "'-838:59:58.99'", "'23:59:59.99'"]),
    ("time_3", "TIME(3)", &["'12:34:56.789'", "'-00:00:00.001'", "'-12:34:56.789'", "'100:00:00.001'"]),
    ("time_4", "TIME(4)", &["'12:34:56.0001'", "'-00:00:00.0001'", "'-00:00:59.9999'", "'838:59:59'"]),
    ("time_5", "TIME(5)", &["'12:34:56.00001'", "'-00:00:00.00001'", "'-00:01:00.00001'", "'00:00:00.99999'"]),
    ("time_6", "TIME(6)", &["'12:34:56.000001'", "'-00:00:00.000001'", "'-00:00:00.999999'", "'-100:00:00.000001'", "'23:59:59.999999'"]),
];

const DATETIMES: List = &[
    (
        "datetime_0",
        "DATETIME",
        &["'2024-02-29 12:34:56'", "'0000-00-00 00:00:00'", "'2024-00-00 00:00:00'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"],
    ),
    ("datetime_1", "DATETIME(1)", &["'2024-02-29 12:34:56.7'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.9'"]),
    ("datetime_2", "DATETIME(2)", &["'2024-02-29 12:34:56.78'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.99'"]),
    ("datetime_3", "DATETIME(3)", &["'2024-02-29 12:34:56.789'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999'"]),
    ("datetime_4", "DATETIME(4)", &["'2024-02-29 12:34:56.0001'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.9999'"]),
    ("datetime_5", "DATETIME(5)", &["'2024-02-29 12:34:56.00001'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.99999'"]),
    ("datetime_6", "DATETIME(6)", &["'2024-02-29 12:34:56.000001'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'"]),
];

const TIMESTAMPS: List = &[
    ("timestamp_0", "TIMESTAMP NULL", &["'2024-02-29 12:34:56'", "0", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"]),
    ("timestamp_1", "TIMESTAMP(1) NULL", &["'2024-02-29 12:34:56.7'", "0", "'2038-01-19 03:14:07.9'"]),
    ("timestamp_2", "TIMESTAMP(2) NULL", &["'2024-02-29 12:34:56.78'", "0", "'2038-01-19 03:14:07.99'"]),
    ("timestamp_3", "TIMESTAMP(3) NULL", &["'2024-02-29 12:34:56.789'", "0", "'2038-01-19 03:14:07.999'"]),
    ("timestamp_4", "TIMESTAMP(4) NULL", &["'2024-02-29 12:34:56.0001'", "0", "'2038-01-19 03:14:07.9999'"]),
    ("timestamp_5", "TIMESTAMP(5) NULL", &["'2024-02-29 12:34:56.00001'", "0", "'2038-01-19 03:14:07.99999'"]),
    ("timestamp_6", "TIMESTAMP(6) NULL", &["'1970-01-01 00:00:01.000001'", "0", "'2038-01-19 03:14:07.999999'"]),
];

const TEXTS: List = &[
    ("char", "CHAR(20)", &["'text'", "''", "' ab  '", "'中文😀'", "'\"\\\\/<>&'"]),
    (
        "varchar",
        "VARCHAR(300)",
        &[
            "'text'",
            "''",
            "' ab  '",
            "'😀'",
            "'NULL'",
            "'a\"b\\\\c/'",
            "X'0001021F7F'",
            "'\\b\\t\\n\\r'",
            "X'C280C29FE280A8E280A9EFBBBF'",
            "REPEAT('é', 100)",
        ],
    ),
    ("varchar_binary_collation", "VARCHAR(30) COLLATE utf8mb4_bin", &["'text'", "''", "'É'"]),
    ("tinytext", "TINYTEXT", &["'text'", "''", "'😀'", "REPEAT('a', 255)"]),
    ("text", "TEXT", &["'text'", "''", "REPEAT('中', 90)", "'line\\r\\nline'"]),
    ("mediumtext", "MEDIUMTEXT", &["'text'", "''", "REPEAT('x', 300)"]),
    ("longtext", "LONGTEXT", &["'text'", "''", "'null'"]),
];

const BYTES: List = &[
    ("binary", "BINARY(4)", &["X'01020304'", "''", "X'0102'", "X'00000001'", "X'FFFFFFFF'", "X'20202020'"]),
    ("varbinary", "VARBINARY(300)", &["X'00FF80'", "''", "X'0000'", "X'22275C0A'", "REPEAT(X'EE', 260)"]),
    ("tinyblob", "TINYBLOB", &["X'DEADBEEF'", "''", "REPEAT(X'FE', 255)"]),
    ("blob", "BLOB", &["X'00'", "''", "X'C3A9'"]),
    ("mediumblob", "MEDIUMBLOB", &["X'C0'", "''"]),
    ("longblob", "LONGBLOB", &["X'22275C'", "''"]),
];

const LABELS: List = &[
    ("enum", "ENUM('a','b','c''d','é','','x,y')", &["'a'", "'b'", "'c''d'", "'é'", "5", "'x,y'", "'not a label'"]),
    ("set", "SET('x','y z','é','w')", &["'x'", "''", "'x,é'", "'x,y z,é,w'", "8"]),
    ("set_64", SET_OF_64, &["1", "9223372036854775808", "18446744073709551615"]),
];

const SET_OF_64: &str = "SET('a0','a1','a2','a3','a4','a5','a6','a7','b0','b1','b2','b3','b4','b5','b6','b7','c0','c1','c2','c3','c4','c5','c6','c7',\
    'd0','d1','d2','d3','d4','d5','d6','d7','e0','e1','e2','e3','e4','e5','e6','e7','f0','f1','f2','f3','f4','f5','f6','f7',\
    'g0','g1','g2','g3','g4','g5','g6','g7','h0','h1','h2','h3','h4','h5','h6','h7')";

const GEOMETRIES: List = &[
    (
        "geometry",
        "GEOMETRY",
        &["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('LINESTRING(0 0,1 1,2 0)')", "ST_GeomFromText('POINT(1 2)', 4326)"],
    ),
    ("point", "POINT", &["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(-1e300 0.1)')"]),
    ("linestring", "LINESTRING", &["ST_GeomFromText('LINESTRING(0 0,1 1,2 0)')"]),
    ("polygon", "POLYGON", &["ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))')"]),
    ("multipoint", "MULTIPOINT", &["ST_GeomFromText('MULTIPOINT(0 0,1 1)')"]),
    ("multilinestring", "MULTILINESTRING", &["ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))')"]),
    ("multipolygon", "MULTIPOLYGON", &["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))')"]),
    ("geometrycollection", "GEOMETRYCOLLECTION", &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')"]),
];

const JSON: List = &[
    (
        "json_scalars",
        "JSON",
        &[
            "'null'",
            "'true'",
            "'false'",
            "'0'",
            "'-1'",
            "'32767'",
            "'-32769'",
            "'2147483648'",
            "'-9223372036854775808'",
            "'18446744073709551615'",
            "'1.0'",
            "'0.1'",
            "'-0.0'",
            "'1e15'",
            "'1e16'",
            "'1e17'",
            "'1e-5'",
            "'1.7976931348623157e308'",
            "'4.9e-324'",
            "'\"\"'",
            "'\"text\"'",
            "'\"é中😀\"'",
            r#"'"\\" \\\\ / \\b \\f \\n \\r \\t \\u0001 \\u007f"'"#,
        ],
    ),
    (
        "json_documents",
        "JSON",
        &[
            "'{}'",
            "'[]'",
            "'[1, [2, {\"a\": null}], \"x\", true]'",
            "'{\"b\": 1, \"aa\": 2, \"a\": 3, \"é\": {\"\": []}}'",
            "JSON_ARRAY(REPEAT('x', 200), 1)",
        ],
    ),
    (
        "json_opaque",
        "JSON",
        &[
            "CAST(CAST('2024-02-29' AS DATE) AS JSON)",
            "CAST(CAST('-838:59:59' AS TIME) AS JSON)",
            "CAST(CAST('12:34:56.000001' AS TIME(6)) AS JSON)",
            "CAST(CAST('2024-02-29 12:34:56.789' AS DATETIME(3)) AS JSON)",
            "CAST(TIMESTAMP'2024-02-29 12:34:56' AS JSON)",
            "CAST(CAST('12.50' AS DECIMAL(10,2)) AS JSON)",
            "CAST(CAST('-0.000000001' AS DECIMAL(20,9)) AS JSON)",
            "JSON_ARRAY(X'00FF80')",
            "JSON_OBJECT('bits', b'1010', 'day', CAST('2024-02-29' AS DATE))",
        ],
    ),
];

const VECTORS: List = &[("vector", "VECTOR(3)", &["TO_VECTOR('[1,2,3]')", "TO_VECTOR('[-0.5,0,3.4e38]')"])];

const MARIADB: List = &[
    ("json", "JSON", &["'null'", "'{\"b\": 1,  \"a\": 1.0}'", "'[1,2]'", "'\"é😀\"'"]),
    ("inet6", "INET6", &["'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.1'"]),
    ("inet4", "INET4", &["'192.0.2.1'", "'0.0.0.0'", "'255.255.255.255'"]),
    (
        "uuid",
        "UUID",
        &["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    ),
    ("text_compressed", "TEXT COMPRESSED", &["'text'", "''", "REPEAT('中', 90)", "'line\\r\\nline'"]),
    ("tinytext_compressed", "TINYTEXT COMPRESSED", &["'é'", "''", "REPEAT('a', 254)"]),
    ("varchar_compressed", "VARCHAR(300) COMPRESSED CHARACTER SET gbk", &["'中文'", "''", "REPEAT('é', 300)"]),
    ("varbinary_compressed", "VARBINARY(300) COMPRESSED", &["X'00FF80'", "''", "REPEAT(X'EE', 260)"]),
    ("blob_compressed", "BLOB COMPRESSED", &["X'00'", "''", "REPEAT(X'00FF', 150)"]),
];
