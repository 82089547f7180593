//! The engine that runs plugins. The supervisor plans and starts lanes, and a lane moves the events of one split. Read `lane` first.

mod budget;
mod commits;
mod lane;
mod ledger;
mod letters_section;
mod linger;
pub(crate) mod named_transform;
mod nearest;
pub(crate) mod pipeline;
pub(crate) mod preview;
pub(crate) mod registry;
mod rejections;
mod retries;
pub(crate) mod running;
pub(crate) mod seams;
pub(crate) mod settings;
mod shape;
pub(crate) mod stats;
pub(crate) mod store;
mod supervisor;
pub(crate) mod task;
mod transform_order;
