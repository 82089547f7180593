//! The functions of dates and times.

use super::evaluate::{Call, Scene};
use super::expression::Extra;
use super::functions::Function;
use super::moment::{Form, Moment, Unit};
use super::place::Evaluated;
use super::value::Val;

const NO_DATE: &str = "the time is no date of the calendar, or outside the years 0 to 9999";

/// The result of a function whose arguments are not NULL.
pub(super) fn apply<'a>(call: Call<'a>, values: &[Val<'a>], scene: &Scene<'a>, out: &mut Val<'a>) -> Evaluated<()> {
    use Function as F;
    let zone = match call.extra {
        Extra::Zone(Some(zone)) => zone,
        _ => scene.zone,
    };
    let mut local = |micros: Option<i64>, fsp: u8| match micros.and_then(|micros| zone.local(micros)) {
        Some(at) => out.put(Val::Moment(Moment { at, form: Form::Time(fsp) })),
        None => call.fail("the moment is outside the years 0 to 9999 (overflow)"),
    };
    let micros = |count: i128, unit: i64| i64::try_from(count).ok().and_then(|count| count.checked_mul(unit));
    match (call.function, values) {
        (F::Now, []) => local(Some(scene.now - scene.now.rem_euclid(1_000_000)), 0),
        (F::NowMillis, []) => local(Some(scene.now - scene.now.rem_euclid(1000)), 3),
        (F::FromSeconds, [Val::Int(count)]) => local(micros(*count, 1_000_000), 0),
        (F::FromMillis, [Val::Int(count)]) => local(micros(*count, 1000), 3),
        (F::ToSeconds | F::ToMillis, [Val::Moment(moment)]) => match zone.moment(moment.at) {
            Some(micros) => {
                let unit = if call.function == F::ToSeconds { 1_000_000 } else { 1000 };
                out.put(Val::Int(micros.div_euclid(unit).into()))
            }
            None => call.fail(NO_DATE),
        },
        (F::Print, [Val::Moment(moment)]) => {
            let Extra::Pattern(pattern) = call.extra else { return call.fail("the pattern is missing") };
            let text = scene.scratch.make(call.place, call.function.name(), |out| {
                pattern.write(moment.at, out.out());
                Ok(())
            })?;
            out.put(Val::Text(text))
        }
        (F::Parse, [Val::Text(text)]) => {
            let Extra::Pattern(pattern) = call.extra else { return call.fail("the pattern is missing") };
            match pattern.read(text) {
                Some(moment) => out.put(Val::Moment(moment)),
                None => call.fail("the text is not a date of this pattern"),
            }
        }
        (F::AddTime, [Val::Moment(moment), counts @ ..]) => {
            let units: &[Unit] = if let Extra::Units(units) = call.extra { units } else { &[] };
            let mut moment = *moment;
            for (unit, count) in units.iter().zip(counts) {
                let count = if let Val::Int(count) = count { i64::try_from(*count).ok() } else { None };
                match count.and_then(|count| moment.add(*unit, count)) {
                    Some(later) => moment = later,
                    None => return call.fail(NO_DATE),
                }
            }
            out.put(Val::Moment(moment))
        }
        _ => call.fail("the arguments are not of the right types"),
    }
}
