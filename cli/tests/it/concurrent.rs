//! Concurrency: many identical calls at once end as one call would have,
//! with both databases.
//! (Being written.)
