//! Core dumps: a copy of the memory, in which passwords and rows are.

/// Forbids core dumps of this process, whatever the limits of its surroundings are. Other processes of the same account can then not read its
/// memory either; root can.
pub(crate) fn forbid() {
    // Without it the program works all the same. Systems other than Linux have only the limit of the surroundings.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_system_is_told() {
        super::forbid();
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
    }
}
