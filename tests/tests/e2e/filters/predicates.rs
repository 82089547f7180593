//! Random conditions such as people write.

use fastrand::Rng;
use tests::harness::Flavor;

use super::rows::{texts, word};

pub(super) struct Predicates<'a> {
    pub(super) random: &'a mut Rng,
    pub(super) flavor: Flavor,
}

const INTEGERS: [&str; 5] = ["ti", "i", "ui", "bi", "ub"];
const EXACT: [&str; 2] = ["d", "w"];
const DOUBLES: [&str; 2] = ["f", "g"];
const COMPARISONS: [&str; 8] = ["=", "<>", "!=", "<", "<=", ">", ">=", "<=>"];

impl Predicates<'_> {
    fn pick(&mut self, list: &[&str]) -> String {
        list[self.random.usize(..list.len())].to_owned()
    }

    fn comparison(&mut self) -> String {
        self.pick(&COMPARISONS)
    }

    /// A condition of at most this depth.
    pub(super) fn condition(&mut self, depth: u32) -> String {
        if depth == 0 || self.random.u8(..3) == 0 {
            return self.predicate();
        }
        let (a, b) = (self.condition(depth - 1), self.condition(depth - 1));
        match self.random.u8(..9) {
            0..=2 => format!("({a} AND {b})"),
            3 => format!("({a} && {b})"),
            4 | 5 => format!("({a} OR {b})"),
            6 => format!("NOT ({a})"),
            7 => format!("({a} XOR {b})"),
            _ => format!("({a}) IS {}{}", self.pick(&["", "NOT "]), self.pick(&["TRUE", "FALSE", "UNKNOWN"])),
        }
    }

    fn predicate(&mut self) -> String {
        match self.random.u8(..12) {
            0..=2 => self.numbers(),
            3..=6 => self.strings(),
            7 | 8 => self.moments(),
            9 => self.labels(),
            10 => self.bytes(),
            _ => {
                let column = self.any_column();
                format!("{column} IS {}NULL", self.pick(&["", "NOT "]))
            }
        }
    }

    fn any_column(&mut self) -> String {
        let mut all = vec!["ti", "i", "ui", "bi", "ub", "d", "w", "f", "g", "b", "y", "dt", "dm", "ts", "tm", "en", "st", "vb", "bn"];
        all.extend(texts(self.flavor).into_iter().map(|(name, _, _)| name));
        self.pick(&all)
    }

    fn number_column(&mut self) -> String {
        match self.random.u8(..5) {
            0..=2 => self.pick(&INTEGERS),
            3 => self.pick(&EXACT),
            _ => self.pick(&DOUBLES),
        }
    }

    fn number(&mut self) -> String {
        self.pick(&[
            "0",
            "1",
            "-1",
            "7",
            "2.5",
            "2.49",
            "-1.5",
            "100",
            "20",
            "9223372036854775807",
            "18446744073709551615",
            "0.1",
            "1e0",
            "3.25",
        ])
    }

    /// An expression of numbers.
    fn computed(&mut self, depth: u32) -> String {
        let column = self.number_column();
        if depth == 0 || self.random.bool() {
            return column;
        }
        let inner = self.computed(depth - 1);
        match self.random.u8(..12) {
            0 => format!("({inner} + {})", self.pick(&["1", "10", "0.5", "-3"])),
            1 => format!("({inner} - {column})"),
            2 => format!("({inner} * {})", self.pick(&["2", "1.5", "-1"])),
            3 => format!("{inner} / {}", self.pick(&["2", "10", "100"])),
            4 => format!("({} DIV {})", self.pick(&INTEGERS), self.pick(&["2", "3", "0", "-2"])),
            5 => format!("({} {} {})", self.pick(&INTEGERS), self.pick(&["%", "MOD"]), self.pick(&["2", "3", "0"])),
            6 => format!("ABS({inner})"),
            7 => format!("{}({inner})", self.pick(&["FLOOR", "CEIL", "CEILING"])),
            8 => format!("ROUND({}, {})", self.pick(&EXACT), self.pick(&["0", "1", "2"])),
            9 => format!("IFNULL({inner}, {})", self.pick(&["0", "7"])),
            10 => format!("COALESCE({inner}, {column}, 1)"),
            _ => format!("IF({column} > 1, {inner}, {column})"),
        }
    }

    fn numbers(&mut self) -> String {
        let (left, op) = (self.computed(2), self.comparison());
        match self.random.u8(..8) {
            0..=3 => format!("{left} {op} {}", self.number()),
            4 => format!("{left} {op} {}", self.computed(1)),
            5 => format!(
                "{} {}IN ({}, {}, {})",
                self.number_column(),
                self.pick(&["", "NOT "]),
                self.number(),
                self.number(),
                self.pick(&["7", "NULL", "100"])
            ),
            6 => format!("{} {}BETWEEN {} AND {}", self.number_column(), self.pick(&["", "NOT "]), self.number(), self.number()),
            _ => format!("{} {op} '{}'", self.pick(&["ti", "i", "ui", "bi", "d", "g"]), self.pick(&["1", "7", "-1", "100", "0"])),
        }
    }

    fn strings(&mut self) -> String {
        let all = texts(self.flavor);
        let (column, _, alphabet) = all[self.random.usize(..all.len())];
        let literal = |random: &mut Rng| word(random, alphabet);
        let op = self.comparison();
        let text = match self.random.u8(..10) {
            0 => format!("CONCAT({column}, '{}')", self.pick(&["a", "", "x1"])),
            1 => format!("{}({column}, {})", self.pick(&["LEFT", "RIGHT", "SUBSTRING"]), self.pick(&["1", "2", "0"])),
            2 => format!("SUBSTRING({column}, {}, {})", self.pick(&["1", "2", "-2", "0"]), self.pick(&["1", "2", "0"])),
            3 => format!("{}({column})", self.pick(&["TRIM", "LTRIM", "RTRIM"])),
            4 => format!("IFNULL({column}, '{}')", literal(self.random)),
            5 => format!("CASE WHEN i > 1 THEN {column} ELSE 'a' END"),
            _ => column.to_owned(),
        };
        let value = literal(self.random);
        match self.random.u8(..14) {
            0..=4 => format!("{text} {op} '{value}'"),
            5 => {
                format!("{column} {}IN ('{value}', '{}', {})", self.pick(&["", "NOT "]), literal(self.random), self.pick(&["'a'", "NULL"]))
            }
            6 => format!("{column} {}BETWEEN '{value}' AND '{}'", self.pick(&["", "NOT "]), literal(self.random)),
            7..=9 => {
                let (a, b) = (self.pick(&["", "%", "_"]), self.pick(&["", "%", "_", "%%"]));
                let value = value.replace('%', r"\%");
                format!("{text} {}LIKE '{a}{value}{b}'", self.pick(&["", "NOT "]))
            }
            10 => format!("{}({column}) {op} {}", self.pick(&["LENGTH", "CHAR_LENGTH"]), self.pick(&["0", "1", "2", "3"])),
            11 => format!("{column} {op} {}", self.pick(&["0", "1", "12"])),
            12 => {
                let (column, collation) =
                    [("s_general", "utf8mb4_bin"), ("s_bin", "utf8mb4_unicode_ci"), ("l_bin", "latin1_swedish_ci")][self.random.usize(..3)];
                format!("{column} COLLATE {collation} {op} '{}'", self.pick(&["a", "A", "b", "e"]))
            }
            _ => format!(
                "{} {}REGEXP '{}'",
                self.pick(&["s_general", "s_bin", "l_swedish", "a_general"]),
                self.pick(&["", "NOT "]),
                self.pick(&["^a", "b$", "a|b", "[a-b]+", "^[0-9]+$", "1"])
            ),
        }
    }

    fn moments(&mut self) -> String {
        let op = self.comparison();
        let days = ["'2024-02-29'", "'1999-12-31'", "'2024-03-01'", "'2000-01-01'"];
        let times = ["'2024-02-29 23:59:59'", "'1999-12-31 00:00:00'", "'2024-03-01 12:30:15'", "'2024-02-29'"];
        let clocks = ["'00:00:00'", "'-12:30:15.25'", "'838:59:59'", "'12:30:15'"];
        match self.random.u8(..11) {
            0 => format!("dt {op} {}", self.pick(&days)),
            1 => format!("dm {op} {}", self.pick(&times)),
            2 => format!("ts {op} {}", self.pick(&times)),
            3 => format!("tm {op} {}", self.pick(&clocks)),
            4 => format!("{} {op} {}", self.pick(&["dt", "dm", "ts"]), self.pick(&["dt", "dm", "ts"])),
            5 => format!(
                "{}({}) {op} {}",
                self.pick(&["YEAR", "MONTH", "DAY"]),
                self.pick(&["dt", "dm", "ts"]),
                self.pick(&["2024", "2", "29", "0"])
            ),
            6 => format!(
                "{}({}) {op} {}",
                self.pick(&["HOUR", "MINUTE", "SECOND"]),
                self.pick(&["tm", "dm", "ts"]),
                self.pick(&["12", "30", "15", "0"])
            ),
            7 => format!("DATE({}) {op} {}", self.pick(&["dm", "ts"]), self.pick(&days)),
            8 => format!(
                "{} {}BETWEEN {} AND {}",
                self.pick(&["dt", "dm", "ts"]),
                self.pick(&["", "NOT "]),
                self.pick(&days),
                self.pick(&days)
            ),
            9 => format!("{} {}IN ({}, {})", self.pick(&["dt", "dm", "ts"]), self.pick(&["", "NOT "]), self.pick(&days), self.pick(&days)),
            _ => format!("y {op} {}", self.pick(&["2024", "1999", "'2024'", "1901"])),
        }
    }

    fn labels(&mut self) -> String {
        let op = self.comparison();
        match self.random.u8(..6) {
            0 => format!("en {op} '{}'", self.pick(&["red", "GREEN", "blau", "none", ""])),
            1 => format!("en {op} {}", self.pick(&["1", "2", "0", "1.5"])),
            2 => format!("en {}IN ('red', '{}')", self.pick(&["", "NOT "]), self.pick(&["green", "x"])),
            3 => format!("st {op} '{}'", self.pick(&["x", "x,y", "", "X,Y,Z", "z"])),
            4 => format!("st {op} {}", self.pick(&["1", "3", "0", "7"])),
            _ => format!("{} LIKE '{}'", self.pick(&["en", "st"]), self.pick(&["%e%", "x%", "_ed", ""])),
        }
    }

    fn bytes(&mut self) -> String {
        let op = self.comparison();
        match self.random.u8(..5) {
            0 => format!("vb {op} {}", self.pick(&["x'61'", "0x6162", "x'00'", "'a'", "''"])),
            1 => format!("bn {op} {}", self.pick(&["x'61000000'", "0x61626364", "'abcd'"])),
            2 => format!("b {op} {}", self.pick(&["1", "5", "b'101'", "255"])),
            3 => format!("vb {}IN (x'61', 'ab')", self.pick(&["", "NOT "])),
            _ => format!("vb LIKE '{}'", self.pick(&["a%", "_", "%", "a_"])),
        }
    }
}
