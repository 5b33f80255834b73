//! The jobs, one file each. What runs when stands in `schedule`; what wakes the others in `lib`.

pub mod edge;
pub mod fetch;
pub mod housekeeping;
pub mod plan;
pub mod poll;
pub mod submit;
pub mod sync;
