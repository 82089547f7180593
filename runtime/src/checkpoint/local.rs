//! placeholder
/// placeholder
pub struct LocalStore;
