//! The vendor's access groups: a tree, told nested or by each group's parent.
//!
//! The element of a list may be the list or an item (`<accessGroups><accessGroup id=".."/></accessGroups>`,
//! or `"accessGroups":[{"id":".."}]`): an item is what has an id. Invariants: a group comes once, and
//! after its parent. Source of the shapes: Level 3 Media Portal API help. Called by `mod.rs`.

use super::document::{Visitor, fill};
use crate::cdn::{CatalogueGroup, CdnError};
use std::collections::{HashMap, HashSet, VecDeque};

/// Whether an element is a group or a list of groups.
pub(super) fn is_group(name: &str) -> bool {
    matches!(name, "accessgroup" | "accessgroups")
}

#[derive(Debug, Default)]
struct GroupNode {
    id: Option<String>,
    name: Option<String>,
    /// The `parentId` element: the only sign of the tree in an answer that is not nested.
    told_parent: Option<String>,
    /// The node around this one, which may be a mere list.
    around: Option<usize>,
}

/// Takes the access groups from an answer.
#[derive(Debug, Default)]
pub(super) struct Groups {
    nodes: Vec<GroupNode>,
    open: Vec<usize>,
}

impl Visitor for Groups {
    fn open(&mut self, path: &[String]) {
        if path.last().is_some_and(|name| is_group(name)) {
            self.nodes.push(GroupNode { around: self.open.last().copied(), ..GroupNode::default() });
            self.open.push(self.nodes.len() - 1);
        }
    }

    fn close(&mut self, path: &[String], text: &str) {
        match path {
            [.., name] if is_group(name) => {
                self.open.pop();
            }
            [.., parent, name] if is_group(parent) => {
                let Some(node) = self.open.last().and_then(|index| self.nodes.get_mut(*index)) else {
                    return;
                };
                match name.as_str() {
                    "id" => fill(&mut node.id, text),
                    "name" => fill(&mut node.name, text),
                    "parentid" => fill(&mut node.told_parent, text),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn items(&self) -> usize {
        self.nodes.len()
    }
}

impl Groups {
    /// All groups once, parents before children.
    ///
    /// # Errors
    /// [`CdnError::Unreadable`] when there is none: an account has at least the key's own.
    pub(super) fn finish(self) -> Result<Vec<CatalogueGroup>, CdnError> {
        let known: HashSet<&str> = self.nodes.iter().filter_map(|node| node.id.as_deref()).collect();
        let mut seen = HashSet::new();
        let mut groups = Vec::new();
        for node in &self.nodes {
            let Some(id) = node.id.as_deref().filter(|id| seen.insert(*id)) else {
                continue;
            };
            let told = node.told_parent.as_deref().filter(|parent| known.contains(parent));
            let parent = self.group_around(node).or(told).filter(|parent| *parent != id);
            groups.push(CatalogueGroup {
                id: id.to_owned(),
                name: node.name.clone().unwrap_or_default(),
                parent: parent.map(str::to_owned),
            });
        }
        if groups.is_empty() {
            return Err(CdnError::Unreadable("it has no access group with an id".to_owned()));
        }
        Ok(parents_first(groups))
    }

    fn group_around(&self, node: &GroupNode) -> Option<&str> {
        let mut around = node.around;
        while let Some(node) = around.and_then(|index| self.nodes.get(index)) {
            if let Some(id) = node.id.as_deref() {
                return Some(id);
            }
            around = node.around;
        }
        None
    }
}

/// Sorts by depth. Of groups that are each other's parents one loses its own, so that nobody walks in circles.
fn parents_first(groups: Vec<CatalogueGroup>) -> Vec<CatalogueGroup> {
    let mut children: HashMap<Option<String>, Vec<usize>> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        children.entry(group.parent.clone()).or_default().push(index);
    }
    let roots = children.remove(&None).unwrap_or_default();
    let in_circles = 0..groups.len();
    let mut waiting: Vec<Option<CatalogueGroup>> = groups.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    for start in roots.into_iter().chain(in_circles) {
        if let Some(Some(group)) = waiting.get_mut(start) {
            group.parent = None;
        }
        let mut queue = VecDeque::from([start]);
        while let Some(index) = queue.pop_front() {
            if let Some(group) = waiting.get_mut(index).and_then(Option::take) {
                queue.extend(children.remove(&Some(group.id.clone())).unwrap_or_default());
                sorted.push(group);
            }
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::read_text;
    use super::*;
    use proptest::prelude::*;

    fn groups(text: &str) -> Result<Vec<(String, String, Option<String>)>, CdnError> {
        let mut visitor = Groups::default();
        read_text(text, &mut visitor)?;
        let groups = visitor.finish()?;
        Ok(groups.into_iter().map(|group| (group.id, group.name, group.parent)).collect())
    }

    fn group(id: &str, name: &str, parent: Option<&str>) -> (String, String, Option<String>) {
        (id.to_owned(), name.to_owned(), parent.map(str::to_owned))
    }

    #[test]
    fn groups_come_parents_first_however_they_are_nested() {
        let expected = [group("1", "A & B", None), group("2", "Child", Some("1")), group("3", "Grandchild", Some("2"))];
        for text in [
            r#"<accessGroup id="1" name="A &amp; B"><serviceResource>/1</serviceResource><parentId>99</parentId><accessGroups>
               <accessGroup name="Child" id="2"><accessGroups><accessGroup id="3" name="Grandchild"/></accessGroups></accessGroup>
               </accessGroups></accessGroup>"#,
            r#"<ACCESSGROUP ID="1" Name="A &amp; B"><accessGroups id="2" name="Child"><accessgroups id="3" name="Grandchild"/></accessGroups></ACCESSGROUP>"#,
            r#"<accessGroups><accessGroup id="3" name="Grandchild"><parentId>2</parentId></accessGroup>
               <accessGroup id="2" name="Child"><parentId>1</parentId></accessGroup><accessGroup id="1" name="A &amp; B"/></accessGroups>"#,
            r#"{"accessGroup":{"accessGroups":[{"accessGroups":[{"id":3,"name":"Grandchild"}],"id":2,"name":"Child"}],"id":1,"name":"A & B"}}"#,
        ] {
            assert_eq!(groups(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn circles_and_doubled_groups_are_cut() {
        let text = r#"<l><accessGroup id="1"><parentId>2</parentId></accessGroup><accessGroup id="2"><parentId>1</parentId></accessGroup>
            <accessGroup id="3"><parentId>3</parentId><accessGroups><accessGroup id="3"/><accessGroup id="1"/></accessGroups></accessGroup></l>"#;
        let expected = [group("3", "", None), group("1", "", None), group("2", "", Some("1"))];
        assert_eq!(groups(text).unwrap(), expected);
    }

    #[test]
    fn an_answer_without_a_group_is_not_an_empty_account() {
        for text in ["<html><body>maintenance</body></html>", "<accessGroups/>", "{}"] {
            assert!(matches!(groups(text), Err(CdnError::Unreadable(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_group_comes_once_and_after_its_parent(parents in proptest::collection::vec(0..12usize, 1..12)) {
            let all: String = parents
                .iter()
                .enumerate()
                .map(|(id, parent)| format!("<accessGroup id='{id}'><parentId>{parent}</parentId></accessGroup>"))
                .collect();
            let sorted = groups(&format!("<l>{all}</l>")).unwrap();
            prop_assert_eq!(sorted.len(), parents.len());
            for (index, (_, _, parent)) in sorted.iter().enumerate() {
                prop_assert!(parent.is_none() || sorted[..index].iter().any(|(id, ..)| Some(id) == parent.as_ref()));
            }
        }
    }
}
