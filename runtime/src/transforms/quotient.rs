//! Exact numbers as floats.

/// `units` divided by 10 to the power of `scale`, as far as one division of floats gives the nearest one: where both have an exact float.
#[allow(clippy::cast_precision_loss)]
pub(super) fn quotient(units: i128, scale: u8) -> Option<f64> {
    const MOST_UNITS: u128 = 1 << f64::MANTISSA_DIGITS;
    const POWERS: [f64; 23] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];
    let power = POWERS.get(usize::from(scale))?;
    (units.unsigned_abs() <= MOST_UNITS).then(|| units as f64 / power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_float_that_the_text_is_read_as(units in -(1i128 << 54)..(1i128 << 54), scale in 0u8..30) {
            if let Some(float) = quotient(units, scale) {
                prop_assert_eq!(float, format!("{units}e-{scale}").parse::<f64>().unwrap());
            } else {
                prop_assert!(scale > 22 || units.unsigned_abs() > 1 << 53);
            }
        }
    }
}
