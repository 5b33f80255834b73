//! Written apart.
