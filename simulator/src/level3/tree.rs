//! The vendor's tree of objects: access group > service component > property (Level 3 Media Portal API help, object tree).
//!
//! Built once from the configuration and never changed. Lookups are by id and by name, so that a tree of ten thousand
//! properties answers as fast as a small one. A [`Selection`] is the part of the tree that a scope names.

use std::collections::HashMap;

use crate::config::{AccessGroupConfig, Config, Product, PropertyConfig};

/// Where the numbers begin that stand for properties in invalidation ids.
const FIRST_NUMBER: usize = 10_001;

pub(super) struct Group {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) parent: Option<usize>,
    pub(super) children: Vec<usize>,
    services: Vec<Service>,
    direct: Vec<usize>,
}

pub(super) struct Service {
    pub(super) scid: String,
    pub(super) product: Product,
    properties: Vec<usize>,
}

pub(super) struct Property {
    /// The place in the tree's list of properties.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) scid: String,
    pub(super) group_id: u64,
    pub(super) active: bool,
    pub(super) product: Product,
    pub(super) kind: Option<String>,
    group: usize,
    /// The place of its service in its group; none directly under the group.
    service: Option<usize>,
}

impl Property {
    /// The number in invalidation ids.
    pub(super) fn number(&self) -> usize {
        FIRST_NUMBER + self.index
    }

    pub(super) fn resource(&self) -> String {
        format!("/{}/{}/{}", self.group_id, self.scid, self.name)
    }
}

/// The last part of a URL: `/AG`, `/AG/SCID` or `/AG/SCID/NI`, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) group: String,
    pub(super) scid: Option<String>,
    pub(super) property: Option<String>,
}

/// The part of the tree that a scope names.
pub(super) struct Selection<'t> {
    pub(super) group: &'t Group,
    pub(super) resource: String,
    pub(super) services: Vec<(&'t Service, Vec<&'t Property>)>,
    /// Properties directly under the group.
    pub(super) direct: Vec<&'t Property>,
    /// Groups below; only for a scope that is a whole group, and only if asked for.
    pub(super) children: Vec<Selection<'t>>,
}

impl<'t> Selection<'t> {
    /// All properties, those of groups below included.
    pub(super) fn properties(&self) -> Vec<&'t Property> {
        let in_services = self.services.iter().flat_map(|(_, properties)| properties.iter().copied());
        let mut all: Vec<&'t Property> = in_services.chain(self.direct.iter().copied()).collect();
        for child in &self.children {
            all.extend(child.properties());
        }
        all
    }
}

pub(super) struct Tree {
    groups: Vec<Group>,
    properties: Vec<Property>,
    group_by_id: HashMap<u64, usize>,
    property_by_name: HashMap<String, usize>,
}

impl Tree {
    pub(super) fn new(config: &Config) -> Self {
        let mut tree = Self {
            groups: Vec::new(),
            properties: Vec::new(),
            group_by_id: HashMap::new(),
            property_by_name: HashMap::new(),
        };
        for group in &config.access_groups {
            tree.add_group(group, None);
        }
        tree
    }

    pub(super) fn group_by_id(&self, id: u64) -> Option<&Group> {
        self.group_by_id.get(&id).map(|&index| &self.groups[index])
    }

    pub(super) fn children<'t>(&'t self, group: &'t Group) -> impl Iterator<Item = &'t Group> {
        group.children.iter().map(|&index| &self.groups[index])
    }

    pub(super) fn parent(&self, group: &Group) -> Option<&Group> {
        group.parent.map(|index| &self.groups[index])
    }

    pub(super) fn property_count(&self) -> usize {
        self.properties.len()
    }

    /// Whether a group is `top` or stands below it.
    pub(super) fn contains(&self, top: u64, group: &Group) -> bool {
        let mut current = Some(group);
        while let Some(group) = current {
            if group.id == top {
                return true;
            }
            current = self.parent(group);
        }
        false
    }

    /// What a scope within a group names; none if there is no such service or property.
    pub(super) fn select<'t>(&'t self, group: &'t Group, scope: &Scope, with_children: bool) -> Option<Selection<'t>> {
        match (&scope.scid, &scope.property) {
            (None, _) => Some(self.select_group(group, with_children)),
            (Some(scid), None) => self.select_service(group, scid),
            (Some(scid), Some(name)) => self.select_property(group, scid, name),
        }
    }

    fn select_group<'t>(&'t self, group: &'t Group, with_children: bool) -> Selection<'t> {
        let children = self.children(group).filter(|_| with_children);
        Selection {
            group,
            resource: format!("/{}", group.id),
            services: group.services.iter().map(|service| self.whole(service)).collect(),
            direct: self.all(&group.direct),
            children: children.map(|child| self.select_group(child, true)).collect(),
        }
    }

    fn select_service<'t>(&'t self, group: &'t Group, scid: &str) -> Option<Selection<'t>> {
        let named = group.services.iter().filter(|service| service.scid == scid);
        let mut direct = self.all(&group.direct);
        direct.retain(|property| property.scid == scid);
        let services: Vec<_> = named.map(|service| self.whole(service)).collect();
        (!services.is_empty() || !direct.is_empty()).then(|| Selection {
            group,
            resource: format!("/{}/{scid}", group.id),
            services,
            direct,
            children: Vec::new(),
        })
    }

    fn select_property<'t>(&'t self, group: &'t Group, scid: &str, name: &str) -> Option<Selection<'t>> {
        let property = &self.properties[*self.property_by_name.get(name)?];
        if property.scid != scid || self.groups[property.group].id != group.id {
            return None;
        }
        let service = property.service.map(|index| (&group.services[index], vec![property]));
        Some(Selection {
            group,
            resource: property.resource(),
            direct: if service.is_none() { vec![property] } else { Vec::new() },
            services: service.into_iter().collect(),
            children: Vec::new(),
        })
    }

    fn whole<'t>(&'t self, service: &'t Service) -> (&'t Service, Vec<&'t Property>) {
        (service, self.all(&service.properties))
    }

    fn all(&self, indices: &[usize]) -> Vec<&Property> {
        indices.iter().map(|&index| &self.properties[index]).collect()
    }

    fn add_group(&mut self, config: &AccessGroupConfig, parent: Option<usize>) -> usize {
        let index = self.groups.len();
        self.group_by_id.insert(config.id, index);
        self.groups.push(Group {
            id: config.id,
            name: config.name.clone(),
            description: config.description.clone(),
            parent,
            children: Vec::new(),
            services: Vec::new(),
            direct: Vec::new(),
        });
        for (place, service) in config.services.iter().enumerate() {
            let add = |property| self.add_property(property, config.id, index, &service.scid, Some(place));
            let properties = service.properties.iter().map(add).collect();
            self.groups[index].services.push(Service {
                scid: service.scid.clone(),
                product: service.product,
                properties,
            });
        }
        for property in &config.properties {
            let scid = property.scid.as_deref().unwrap_or_default();
            let property = self.add_property(property, config.id, index, scid, None);
            self.groups[index].direct.push(property);
        }
        for child in &config.children {
            let child = self.add_group(child, Some(index));
            self.groups[index].children.push(child);
        }
        index
    }

    fn add_property(
        &mut self,
        config: &PropertyConfig,
        group_id: u64,
        group: usize,
        scid: &str,
        service: Option<usize>,
    ) -> usize {
        let index = self.properties.len();
        self.property_by_name.insert(config.name.clone(), index);
        self.properties.push(Property {
            index,
            name: config.name.clone(),
            scid: scid.to_owned(),
            group_id,
            active: config.active,
            product: config.product,
            kind: config.kind.clone(),
            group,
            service,
        });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tree: &Tree, group: u64, scid: Option<&str>, property: Option<&str>) -> Option<Vec<String>> {
        let scope =
            Scope { group: group.to_string(), scid: scid.map(str::to_owned), property: property.map(str::to_owned) };
        let selection = tree.select(tree.group_by_id(group)?, &scope, true)?;
        let properties = selection.properties();
        Some(properties.iter().map(|property| property.name.clone()).collect())
    }

    #[test]
    fn a_scope_names_a_group_with_all_below_a_service_or_a_property() {
        let tree = Tree::new(&Config::demo());
        assert_eq!(names(&tree, 12345, None, None).unwrap().len(), 7);
        assert_eq!(names(&tree, 12345, Some("BBBN56789"), None).unwrap().len(), 4);
        let one = Some(vec!["a.example.com".to_owned()]);
        assert_eq!(names(&tree, 12346, Some("BBKN17110"), Some("a.example.com")), one);
        let live = Some(vec!["sample-live".to_owned()]);
        assert_eq!(names(&tree, 12345, Some("BBBN10111"), None), live);
        assert_eq!(names(&tree, 12345, Some("BBBN10111"), Some("sample-live")), live);
    }

    #[test]
    fn a_property_is_found_only_under_its_own_group_and_service() {
        let tree = Tree::new(&Config::demo());
        assert_eq!(names(&tree, 12345, Some("BBKN17110"), Some("a.example.com")), None);
        assert_eq!(names(&tree, 12346, Some("BBBN56789"), Some("a.example.com")), None);
        assert_eq!(names(&tree, 12345, Some("NOTHING"), None), None);
        assert_eq!(names(&tree, 1, None, None), None);
    }

    #[test]
    fn a_group_contains_itself_and_its_descendants() {
        let tree = Tree::new(&Config::demo());
        let group = |id| tree.group_by_id(id).unwrap();
        assert!(tree.contains(12345, group(12345)));
        assert!(tree.contains(12345, group(12346)));
        assert!(!tree.contains(12346, group(12345)));
        assert!(!tree.contains(22001, group(12345)));
    }
}
