//! Rows a second, as people want to see it: of the last seconds, not of the last tick.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SPAN: Duration = Duration::from_secs(5);

/// The speed of a counter over the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    seen: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// The counter stands at `total` now: its growth a second.
    pub(crate) fn of(&mut self, total: u64) -> f64 {
        self.at(Instant::now(), total)
    }

    fn at(&mut self, now: Instant, total: u64) -> f64 {
        while self.seen.len() > 1 && self.seen.front().is_some_and(|(at, _)| now.duration_since(*at) > SPAN) {
            self.seen.pop_front();
        }
        self.seen.push_back((now, total));
        match self.seen.front() {
            Some((at, before)) if now > *at => total.saturating_sub(*before) as f64 / now.duration_since(*at).as_secs_f64(),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_seconds_count() {
        let (start, mut rate) = (Instant::now(), Rate::default());
        let at = |second: u64| start + Duration::from_secs(second);
        assert!(rate.at(at(0), 1_000_000) < 0.5, "what was there before is no speed");
        for second in 1..=10 {
            let found = rate.at(at(second), 1_000_000 + second * 100);
            assert!((found - 100.0).abs() < 0.1, "{found}");
        }
        for second in 11..=20 {
            rate.at(at(second), 1_001_000);
        }
        assert!(rate.at(at(21), 1_001_000) < 0.5);
        assert!(rate.at(at(22), 0) < 0.5, "a counter that begins anew does not go backwards");
    }
}
