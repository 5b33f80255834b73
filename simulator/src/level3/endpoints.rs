//! The endpoints of the vendor's API: who may call them, and what they answer.
//!
//! The order of the refusals is part of the contract (see the parent module). A group that does not exist
//! is refused like one that the key may not see. A valid invalidation is registered and costs one credit,
//! however many paths and properties it has, before its answer is written and whatever becomes of that.
//! Called by `Level3::reply`; the record and the fault rules are the parent module's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{Days, NaiveTime};
use poem::http::StatusCode;
use serde_json::Value;

use super::answers::{self, KeyAnswer, Lists, Registered};
use super::call::{Call, Format, Refused};
use super::invalidations::Order;
use super::tree::{Group, Selection};
use super::{Key, Level3, Visit, order, signature};
use crate::lock::locked;
use crate::operation::Operation;
use crate::reply::{JSON, Reply, XML};

impl Level3 {
    /// The answer, or why there is none.
    pub(super) fn dispatch(&self, mut visit: Visit<'_>) -> Result<Reply, Refused> {
        let call = visit.call;
        if call.route.operation == Operation::Unknown {
            return Err(Refused::new(StatusCode::NOT_FOUND, "There is no such resource"));
        }
        if !call.route.allowed {
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed"));
        }
        let key = self.authenticate(call)?;
        let format = accepted(call)?;
        let correlation = self.correlation();
        match call.route.operation {
            Operation::Key => self.key(key, &correlation),
            Operation::AccessGroups => self.access_groups(key, format, &correlation),
            Operation::Services => {
                let selection = self.select(key, call, false)?;
                Ok(xml_reply(answers::services_xml(&selection, &correlation)))
            }
            Operation::Usage => {
                let selection = self.select(key, call, true)?;
                self.usage(&selection, &call.query, &correlation)
            }
            Operation::Invalidate => {
                let selection = self.select(key, call, true)?;
                let registered = self.invalidate(key, &selection, &mut visit)?;
                Ok(match format {
                    Format::Xml => xml_reply(answers::registered_xml(&selection, &correlation, &registered)),
                    Format::Json => json_reply(&answers::registered_json(&selection, &correlation, &registered)),
                })
            }
            Operation::Invalidations => {
                let selection = self.select(key, call, true)?;
                let lists = self.lists(&selection, visit.forgetful);
                Ok(match format {
                    Format::Xml => xml_reply(answers::list_xml(&selection, &correlation, &lists)),
                    Format::Json => json_reply(&answers::list_json(&selection, &correlation, &lists)),
                })
            }
            _ => Err(Refused::new(StatusCode::NOT_FOUND, "There is no such resource")),
        }
    }

    fn authenticate(&self, call: &Call) -> Result<&Key, Refused> {
        let refused = |refusal: signature::Refusal| Refused::forbidden(refusal.to_string());
        let (id, _) =
            signature::credentials(&call.headers).ok_or_else(|| refused(signature::Refusal::NoAuthorization))?;
        let key = self.keys.get(id).ok_or_else(|| refused(signature::Refusal::UnknownKey))?;
        let now = self.stage.clock.wall();
        signature::check(&key.config.secret, &call.headers, call.method.as_str(), &call.path, now).map_err(refused)?;
        Ok(key)
    }

    /// What the scope names, if the key may see it. A group that does not exist is a group that the key may not see.
    fn select(&self, key: &Key, call: &Call, with_children: bool) -> Result<Selection<'_>, Refused> {
        let outside = || Refused::forbidden("The key has no access to this access group");
        let scope = call.route.scope.as_ref().ok_or_else(outside)?;
        let id = scope.group.parse().map_err(|_| outside())?;
        let group = self.tree.group_by_id(id).ok_or_else(outside)?;
        if !self.tree.contains(key.config.access_group, group) {
            return Err(outside());
        }
        self.tree
            .select(group, scope, with_children)
            .ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "There is no such service or property"))
    }

    fn own_group(&self, key: &Key) -> Result<&Group, Refused> {
        let group = self.tree.group_by_id(key.config.access_group);
        group.ok_or_else(|| Refused::forbidden("The key has no access group"))
    }

    fn key(&self, key: &Key, correlation: &str) -> Result<Reply, Refused> {
        let tomorrow = self.stage.clock.now().date_naive() + Days::new(1);
        let next_top_up = tomorrow.and_time(NaiveTime::MIN).format("%Y-%m-%d %H:%M:%S +0000");
        let answer = KeyAnswer {
            key: &key.config,
            group_name: &self.own_group(key)?.name,
            credits: key.credits.load(Ordering::Relaxed),
            next_top_up: next_top_up.to_string(),
        };
        Ok(xml_reply(answers::key_xml(&answer, correlation)))
    }

    fn access_groups(&self, key: &Key, format: Format, correlation: &str) -> Result<Reply, Refused> {
        let group = self.own_group(key)?;
        Ok(match format {
            Format::Xml => xml_reply(answers::access_groups_xml(&self.tree, group, correlation)),
            Format::Json => json_reply(&answers::access_groups_json(group, correlation)),
        })
    }

    fn invalidate(&self, key: &Key, selection: &Selection<'_>, visit: &mut Visit<'_>) -> Result<Registered, Refused> {
        let bad = |message| Refused::new(StatusCode::BAD_REQUEST, message);
        order::check_query(&visit.call.query).map_err(bad)?;
        let paths = match visit.paths {
            Ok(paths) => paths,
            Err(refused) => return Err(Refused::new(refused.status, &*refused.message)),
        };
        order::check_paths(paths).map_err(bad)?;
        let now_ms = self.stage.clock.now_ms();
        let mut ids = HashMap::new();
        {
            let mut invalidations = locked(&self.invalidations);
            for property in selection.properties() {
                let order = Order {
                    group_id: property.group_id,
                    actor: &key.config.id,
                    property: property.index,
                    property_number: property.number(),
                    paths,
                };
                ids.insert(property.index, invalidations.register(&order, now_ms));
            }
        }
        let take = |credits: u64| Some(credits.saturating_sub(1));
        // The closure always answers something, so this cannot fail.
        let _ = key.credits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        visit.flight.note(|entry| entry.registered = true);
        Ok(Registered { ids, paths: Arc::clone(paths) })
    }

    fn lists(&self, selection: &Selection<'_>, forgetful: bool) -> Lists {
        let mut by_property = HashMap::new();
        if !forgetful {
            let now_ms = self.stage.clock.now_ms();
            let properties = selection.properties();
            let mut invalidations = locked(&self.invalidations);
            for property in properties {
                by_property.insert(property.index, invalidations.list(property.index, now_ms));
            }
        }
        Lists { by_property, empty_list: self.empty_list }
    }

    fn correlation(&self) -> String {
        let number = self.correlations.fetch_add(1, Ordering::Relaxed);
        format!("CDNPortal-{}-{number}", self.stage.clock.now_ms())
    }
}

/// The form of the answer: JSON exists for access groups and invalidations only.
fn accepted(call: &Call) -> Result<Format, Refused> {
    let xml_only = matches!(call.route.operation, Operation::Key | Operation::Services | Operation::Usage);
    call.format
        .filter(|format| *format == Format::Xml || !xml_only)
        .ok_or_else(|| Refused::new(StatusCode::NOT_ACCEPTABLE, "The Accept header is not acceptable"))
}

fn xml_reply(body: String) -> Reply {
    Reply::new(StatusCode::OK, XML, body)
}

fn json_reply(body: &Value) -> Reply {
    Reply::new(StatusCode::OK, JSON, body.to_string())
}
