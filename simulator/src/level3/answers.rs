//! The bodies of the vendor's answers, XML and JSON (Level 3 Media Portal API help, the examples of each endpoint).
//!
//! All calls with a scope answer in one envelope, `accessGroup` with its services and properties; [`envelope_xml`] and
//! [`envelope_json`] write it, and what stands in each property's element is the caller's.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::invalidations::Listed;
use super::tree::{Group, Property, Selection, Service, Tree};
use super::xml::Xml;
use crate::config::{EmptyList, KeyConfig, Product};

/// The tree has no history, so every group was made on one day.
const GROUP_DATE: &str = "2016-08-04 08:00:00 +0000";
/// Role ids mean nothing here beyond being numbers.
const ROLE_ID: &str = "30";

/// What `GET /key/v1.0` tells of a key.
pub(super) struct KeyAnswer<'k> {
    pub(super) key: &'k KeyConfig,
    pub(super) group_name: &'k str,
    pub(super) credits: u64,
    pub(super) next_top_up: String,
}

pub(super) fn key_xml(answer: &KeyAnswer<'_>, correlation: &str) -> String {
    let key = answer.key;
    let group_id = key.access_group.to_string();
    let mut xml = Xml::default();
    xml.open("apikey", &[("id", &key.id)]);
    xml.text("apiCorrelationId", correlation);
    xml.empty("assignedAccessGroup", &[("id", &group_id), ("name", answer.group_name)]);
    xml.empty("contact", &[("id", &key.id), ("name", &key.name)]);
    xml.empty("role", &[("id", ROLE_ID), ("name", &key.role)]);
    xml.text("status", "Active");
    xml.text("credits", &answer.credits.to_string());
    xml.text("next-top-up", &answer.next_top_up);
    xml.close("apikey");
    xml.finish()
}

pub(super) fn access_groups_xml(tree: &Tree, group: &Group, correlation: &str) -> String {
    let mut xml = Xml::default();
    access_group(&mut xml, tree, group, Some(correlation));
    xml.finish()
}

fn access_group(xml: &mut Xml, tree: &Tree, group: &Group, correlation: Option<&str>) {
    let id = group.id.to_string();
    xml.open("accessGroup", &[("id", &id), ("name", &group.name)]);
    if let Some(correlation) = correlation {
        xml.text("apiCorrelationId", correlation);
    }
    xml.text("serviceResource", &format!("/{id}"));
    xml.text("description", &group.description);
    xml.text("createdDate", GROUP_DATE);
    xml.text("modifiedDate", GROUP_DATE);
    xml.text("domainId", "1");
    if let Some(parent) = tree.parent(group) {
        xml.text("parentId", &parent.id.to_string());
    }
    if !group.children.is_empty() {
        xml.open("accessGroups", &[]);
        for child in tree.children(group) {
            access_group(xml, tree, child, None);
        }
        xml.close("accessGroups");
    }
    xml.close("accessGroup");
}

/// The flat form: no children, no dates.
pub(super) fn access_groups_json(group: &Group, correlation: &str) -> Value {
    json!({
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "apiCorrelationId": correlation,
    })
}

pub(super) fn services_xml(selection: &Selection<'_>, correlation: &str) -> String {
    let service = |xml: &mut Xml, service: &Service| xml.text("product", service.product.as_str());
    let property = |xml: &mut Xml, property: &Property| {
        xml.text("product", property.product.as_str());
        if let Some(kind) = &property.kind {
            xml.text("type", kind);
        }
        if property.product == Product::Caching || !property.active {
            xml.text("active", if property.active { "Y" } else { "N" });
        }
    };
    envelope_xml(selection, correlation, &service, &property)
}

/// The invalidation ids that a request got, by property.
pub(super) struct Registered {
    pub(super) ids: HashMap<usize, Arc<str>>,
    pub(super) paths: Arc<[String]>,
}

impl Registered {
    fn id(&self, property: &Property) -> &str {
        self.ids.get(&property.index).map_or("", |id| id)
    }
}

pub(super) fn registered_xml(selection: &Selection<'_>, correlation: &str, registered: &Registered) -> String {
    envelope_xml(selection, correlation, &|_, _| {}, &|xml, property| {
        xml.open("invalidations", &[]);
        for path in registered.paths.iter() {
            xml.empty("invalidation", &[("id", registered.id(property)), ("path", path)]);
        }
        xml.close("invalidations");
    })
}

pub(super) fn registered_json(selection: &Selection<'_>, correlation: &str, registered: &Registered) -> Value {
    envelope_json(selection, Some(correlation), &|property| {
        let id = registered.id(property);
        let paths = registered.paths.iter();
        Some(paths.map(|path| json!({ "id": id, "path": path })).collect())
    })
}

/// The lists of invalidations, by property.
pub(super) struct Lists {
    pub(super) by_property: HashMap<usize, Vec<Listed>>,
    pub(super) empty_list: EmptyList,
}

impl Lists {
    /// None if the element is to be left out.
    fn of(&self, property: &Property) -> Option<&[Listed]> {
        let list = self.by_property.get(&property.index).map_or(&[][..], Vec::as_slice);
        (!list.is_empty() || self.empty_list == EmptyList::Empty).then_some(list)
    }
}

pub(super) fn list_xml(selection: &Selection<'_>, correlation: &str, lists: &Lists) -> String {
    envelope_xml(selection, correlation, &|_, _| {}, &|xml, property| {
        let Some(list) = lists.of(property) else {
            return;
        };
        if list.is_empty() {
            xml.empty("invalidations", &[]);
            return;
        }
        xml.open("invalidations", &[]);
        for listed in list {
            let percent = listed.percent.to_string();
            xml.open("invalidation", &[("id", &listed.id), ("percentComplete", &percent)]);
            xml.open("paths", &[]);
            for path in listed.paths.iter() {
                xml.text("path", path);
            }
            xml.close("paths");
            xml.close("invalidation");
        }
        xml.close("invalidations");
    })
}

pub(super) fn list_json(selection: &Selection<'_>, correlation: &str, lists: &Lists) -> Value {
    envelope_json(selection, Some(correlation), &|property| {
        let entry = |listed: &Listed| {
            json!({
                "id": &*listed.id,
                "percentComplete": listed.percent,
                "paths": &*listed.paths,
            })
        };
        lists.of(property).map(|list| list.iter().map(entry).collect())
    })
}

type InService<'w> = &'w dyn Fn(&mut Xml, &Service);
type InProperty<'w> = &'w dyn Fn(&mut Xml, &Property);

fn envelope_xml(
    selection: &Selection<'_>,
    correlation: &str,
    in_service: InService<'_>,
    in_property: InProperty<'_>,
) -> String {
    let mut xml = Xml::default();
    group_xml(&mut xml, selection, Some(correlation), in_service, in_property);
    xml.finish()
}

fn group_xml(
    xml: &mut Xml,
    selection: &Selection<'_>,
    correlation: Option<&str>,
    in_service: InService<'_>,
    in_property: InProperty<'_>,
) {
    let id = selection.group.id.to_string();
    xml.open("accessGroup", &[("id", &id), ("name", &selection.group.name)]);
    if let Some(correlation) = correlation {
        xml.text("apiCorrelationId", correlation);
    }
    xml.text("serviceResource", &selection.resource);
    if !selection.services.is_empty() {
        xml.open("services", &[]);
        for (service, properties) in &selection.services {
            xml.open("service", &[("id", &service.scid)]);
            xml.text("serviceResource", &format!("/{id}/{}", service.scid));
            in_service(xml, service);
            properties_xml(xml, properties, in_property);
            xml.close("service");
        }
        xml.close("services");
    }
    if !selection.direct.is_empty() {
        properties_xml(xml, &selection.direct, in_property);
    }
    if !selection.children.is_empty() {
        xml.open("accessGroups", &[]);
        for child in &selection.children {
            group_xml(xml, child, None, in_service, in_property);
        }
        xml.close("accessGroups");
    }
    xml.close("accessGroup");
}

fn properties_xml(xml: &mut Xml, properties: &[&Property], in_property: InProperty<'_>) {
    xml.open("networkIdentifiers", &[]);
    for property in properties {
        xml.open("ni", &[("id", &property.name)]);
        xml.text("serviceResource", &property.resource());
        in_property(xml, property);
        xml.close("ni");
    }
    xml.close("networkIdentifiers");
}

type InvalidationsOf<'w> = &'w dyn Fn(&Property) -> Option<Vec<Value>>;

/// The envelope mirrored in JSON, under the one member `accessGroup`.
fn envelope_json(selection: &Selection<'_>, correlation: Option<&str>, of: InvalidationsOf<'_>) -> Value {
    json!({ "accessGroup": group_json(selection, correlation, of) })
}

fn group_json(selection: &Selection<'_>, correlation: Option<&str>, of: InvalidationsOf<'_>) -> Value {
    let group = selection.group;
    let mut value = json!({
        "id": group.id,
        "name": group.name,
        "serviceResource": selection.resource,
    });
    if let Some(correlation) = correlation {
        value["apiCorrelationId"] = correlation.into();
    }
    let service = |(service, properties): &(&Service, Vec<&Property>)| {
        json!({
            "id": service.scid,
            "serviceResource": format!("/{}/{}", group.id, service.scid),
            "networkIdentifiers": properties_json(properties, of),
        })
    };
    if !selection.services.is_empty() {
        value["services"] = selection.services.iter().map(service).collect();
    }
    if !selection.direct.is_empty() {
        value["networkIdentifiers"] = properties_json(&selection.direct, of);
    }
    if !selection.children.is_empty() {
        let children = selection.children.iter();
        value["accessGroups"] = children.map(|child| group_json(child, None, of)).collect();
    }
    value
}

fn properties_json(properties: &[&Property], of: InvalidationsOf<'_>) -> Value {
    let one = |property: &&Property| {
        let mut value = json!({ "id": property.name, "serviceResource": property.resource() });
        if let Some(list) = of(property) {
            value["invalidations"] = list.into();
        }
        value
    };
    properties.iter().map(one).collect()
}
