//! The weights of the characters of a collation, read from a compact file.
//!
//! A file describes all codes from 0 in runs. A run is a list of numbers of seven bits a byte, the lowest first: how many codes it has, how many
//! weights each of them has, the weights of the first one, and, if it has several codes and weights, by how much the last weight
//! rises from code to code (zigzag). The program `weights` of the tests makes the files from what servers answer to `WEIGHT_STRING`.

/// The most weights of one character. MySQL cuts longer lists, so a character with as many is not compared.
pub(super) const MAX_WEIGHTS: usize = 8;

/// The weights of all characters.
pub(super) struct Weights {
    runs: Vec<Run>,
    /// The weights of the first character of each run.
    pool: Vec<u16>,
    /// For each 256 codes, the run of the first of them.
    pages: Vec<u32>,
    /// The weights of ASCII characters that have exactly one; 0 for others.
    ascii: [u16; 128],
}

struct Run {
    first: u32,
    start: u32,
    weights: u8,
    step: i32,
}

/// The weights of one character.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Element {
    list: [u16; MAX_WEIGHTS],
    length: usize,
}

impl Element {
    pub(super) fn get(&self, place: usize) -> Option<u16> {
        self.list.get(..self.length)?.get(place).copied()
    }

    pub(super) fn single(weight: u16) -> Self {
        let mut element = Self { length: 1, ..Self::default() };
        if let Some(first) = element.list.first_mut() {
            *first = weight;
        }
        element
    }
}

impl Weights {
    /// Reads a file. The files are part of the program, so a damaged one has an end where it is damaged.
    pub(super) fn read(file: &[u8]) -> Self {
        let mut weights = Self { runs: Vec::new(), pool: Vec::new(), pages: Vec::new(), ascii: [0; 128] };
        let (mut bytes, mut code) = (file.iter(), 0_u32);
        while weights.read_run(&mut bytes, &mut code).is_some() {}
        for page in 0..code.div_ceil(256) {
            let run = weights.runs.partition_point(|run| run.first <= page * 256);
            weights.pages.push(u32::try_from(run.saturating_sub(1)).unwrap_or(0));
        }
        for code in 0..128 {
            if let (Some(element), Some(slot)) = (weights.of(code), weights.ascii.get_mut(code as usize))
                && element.length == 1
            {
                *slot = element.get(0).unwrap_or(0);
            }
        }
        weights
    }

    fn read_run(&mut self, bytes: &mut std::slice::Iter<'_, u8>, code: &mut u32) -> Option<()> {
        let mut number = || {
            let (mut value, mut shift) = (0_u32, 0);
            loop {
                let byte = *bytes.next()?;
                value |= u32::from(byte & 0x7F).checked_shl(shift)?;
                if byte < 0x80 {
                    return Some(value);
                }
                shift += 7;
            }
        };
        let (count, weights) = (number()?, u8::try_from(number()?).ok()?);
        let start = u32::try_from(self.pool.len()).ok()?;
        for _ in 0..weights {
            self.pool.push(u16::try_from(number()?).ok()?);
        }
        let step = match if count > 1 && weights > 0 { number()? } else { 0 } {
            zigzag if zigzag % 2 == 0 => i32::try_from(zigzag / 2).ok()?,
            zigzag => -i32::try_from(zigzag / 2).ok()? - 1,
        };
        self.runs.push(Run { first: *code, start, weights, step });
        *code = code.checked_add(count)?;
        Some(())
    }

    /// The only weight of an ASCII character; `None` if it has none or several.
    #[inline]
    pub(super) fn ascii(&self, byte: u8) -> Option<u16> {
        self.ascii.get(usize::from(byte)).copied().filter(|weight| *weight != 0)
    }

    /// The weights of the character with this code; `None` if it cannot be compared.
    pub(super) fn of(&self, code: u32) -> Option<Element> {
        let page = (code >> 8) as usize;
        let from = *self.pages.get(page).unwrap_or(&0) as usize;
        let until = self.pages.get(page + 1).map_or(self.runs.len(), |run| *run as usize + 1);
        let place = from + self.runs.get(from..until)?.partition_point(|run| run.first <= code);
        let run = self.runs.get(place.checked_sub(1)?)?;
        let first = self.pool.get(run.start as usize..)?.get(..run.weights.into())?;
        if first.len() >= MAX_WEIGHTS {
            return None;
        }
        let mut element = Element { length: first.len(), ..Element::default() };
        element.list.get_mut(..first.len())?.copy_from_slice(first);
        if let Some(last) = element.list.get_mut(..first.len())?.last_mut() {
            let rise = i64::from(run.step) * i64::from(code - run.first);
            *last = u16::try_from(i64::from(*last) + rise).ok()?;
        }
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read() {
        // 66 codes without weights, then three with the weights (7, 300), (7, 298), (7, 296), then one with eight.
        let file = [66, 0, 3, 2, 7, 0xAC, 2, 3, 1, 8, 1, 1, 1, 1, 1, 1, 1, 1];
        let weights = Weights::read(&file);
        let list = |code| weights.of(code).map(|element| (0..).map_while(|place| element.get(place)).collect::<Vec<_>>());
        assert_eq!((list(0), list(65), list(66)), (Some(vec![]), Some(vec![]), Some(vec![7, 300])));
        assert_eq!((list(68), list(69)), (Some(vec![7, 296]), None));
    }
}
