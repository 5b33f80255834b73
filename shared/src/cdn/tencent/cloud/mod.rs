//! What the services of Tencent Cloud have in common: one way to sign a call, to make it, and to class what went wrong.
//!
//! An action is a POST of a JSON object to `/`; its answer has status 200 whether it went well or not, and what went
//! wrong stands in `Response.Error`. Each service adds its name, its version, its address and the meaning of its own
//! codes. Facts: Tencent Cloud API 3.0 documentation (signature v3) and the vendor's SDKs. Used by the clients of the
//! CDN and of EdgeOne.

mod call;
mod download;
mod hold;
mod quotas;
mod refusal;
mod signature;
mod statistics;
mod tasks;

pub(in crate::cdn) use call::{Account, Page, list};
pub(in crate::cdn) use download::{Downloads, Package, Packages};
pub(in crate::cdn) use quotas::{Remembered, batch_size};
pub(in crate::cdn) use refusal::Class;
#[cfg(test)]
pub(in crate::cdn) use refusal::class_of;
pub(in crate::cdn) use statistics::{Areas, add_areas, add_totals};
pub(in crate::cdn) use tasks::{Standing, Targets, progress, requests_of};

/// One service.
#[derive(Debug, Clone, Copy)]
pub(in crate::cdn) struct Service {
    /// Its name in the signature, which stays the same at any address.
    pub(in crate::cdn) name: &'static str,
    /// The version of its API.
    pub(in crate::cdn) version: &'static str,
    /// Its own address.
    pub(in crate::cdn) address: &'static str,
    /// What its own codes mean; the rest follows from how a code begins.
    pub(in crate::cdn) codes: &'static [(&'static str, Class)],
}
