//! The commands, one file each; `demo` is the part of `up` that plays the vendor, and
//! `password` reads one.
//!
//! A command gets its options and settings from `main`, puts its parts together through `wire` and runs to
//! its end. Its answer goes to standard output, log lines to standard error; a failure that ends it is
//! returned and printed once, by `main`. Called by `main`; `up` also uses `demo` and `serve`.

use std::fmt;
use std::io::Write;

/// Prints a line of a command's answer. A reader that has gone away, such as `head`, does not matter.
macro_rules! say {
    ($($text:tt)*) => { $crate::commands::say_line(format_args!($($text)*)) };
}

pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod password;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod superuser;
pub(crate) mod sync;
pub(crate) mod token;
pub(crate) mod up;
pub(crate) mod usage;
pub(crate) mod user;

/// See [`say!`].
pub(crate) fn say_line(text: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
