//! What one access group holds: service components and in them network identifiers.
//!
//! Outside of this folder these are services and properties. As with groups, the element of a list
//! may be the list or an item: an item is what has an id. Source of the shapes: Level 3 Media Portal
//! API help. Called by `mod.rs`.

use super::document::{Visitor, fill};
use super::groups::is_group;
use crate::cdn::{CatalogueProperty, CatalogueService, CdnError};

/// An element that is a service, a property, or a list of either.
#[derive(Debug, Default)]
struct Frame {
    is_service: bool,
    id: Option<String>,
    product: Option<String>,
    resource: Option<String>,
    active: Option<String>,
    properties: Vec<Frame>,
}

fn is_service(name: &str) -> bool {
    matches!(name, "service" | "services")
}

fn is_property(name: &str) -> bool {
    matches!(name, "ni" | "networkidentifier" | "networkidentifiers")
}

/// Takes the services and properties of one access group from an answer.
#[derive(Debug)]
pub(super) struct Services {
    group: String,
    recognised: bool,
    open: Vec<Frame>,
    services: Vec<Frame>,
    /// Properties that stand directly under the group.
    direct: Vec<Frame>,
    count: usize,
}

impl Services {
    pub(super) fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            recognised: false,
            open: Vec::new(),
            services: Vec::new(),
            direct: Vec::new(),
            count: 0,
        }
    }

    /// The services with their properties; those directly under the group in a service without an id.
    ///
    /// # Errors
    /// [`CdnError::Unreadable`] for an answer about something else: taken for an empty group, it
    /// would make every property of the group vanish.
    pub(super) fn finish(self) -> Result<Vec<CatalogueService>, CdnError> {
        if !self.recognised {
            return Err(CdnError::Unreadable("it is not about an access group".to_owned()));
        }
        let Self { group, services, direct, .. } = self;
        let direct = Frame { properties: direct, ..Frame::default() };
        Ok(services
            .into_iter()
            .chain((!direct.properties.is_empty()).then_some(direct))
            .map(|service| catalogue_service(&group, service))
            .collect())
    }

    fn put_away(&mut self, mut frame: Frame) {
        let has_id = frame.id.is_some();
        let around = match self.open.last_mut() {
            Some(outer) => &mut outer.properties,
            None => &mut self.direct,
        };
        if frame.is_service && has_id {
            self.services.push(frame);
        } else if has_id {
            around.append(&mut frame.properties);
            around.push(frame);
        } else {
            around.append(&mut frame.properties);
        }
    }
}

impl Visitor for Services {
    fn open(&mut self, path: &[String]) {
        let Some((name, above)) = path.split_last() else {
            return;
        };
        self.recognised |= above.is_empty() && (is_group(name) || is_service(name));
        if is_service(name) || is_property(name) {
            self.open.push(Frame { is_service: is_service(name), ..Frame::default() });
        }
    }

    fn close(&mut self, path: &[String], text: &str) {
        let Some((name, above)) = path.split_last() else {
            return;
        };
        if is_service(name) || is_property(name) {
            self.count += 1;
            // A child group's services are listed when the child is asked for.
            let is_nested = above.iter().filter(|element| *element == "accessgroup").count() > 1;
            if let Some(frame) = self.open.pop().filter(|_| !is_nested) {
                self.put_away(frame);
            }
            return;
        }
        let is_inside = above.last().is_some_and(|parent| is_service(parent) || is_property(parent));
        if let Some(frame) = self.open.last_mut().filter(|_| is_inside) {
            match name.as_str() {
                "id" => fill(&mut frame.id, text),
                "product" => fill(&mut frame.product, text),
                "serviceresource" => fill(&mut frame.resource, text),
                "active" => fill(&mut frame.active, text),
                _ => {}
            }
        }
    }

    fn items(&self) -> usize {
        self.count
    }
}

fn catalogue_service(group: &str, service: Frame) -> CatalogueService {
    let id = service.id.unwrap_or_default();
    let product = service.product.unwrap_or_default();
    let properties = service
        .properties
        .into_iter()
        .filter_map(|property| catalogue_property(group, &id, &product, property))
        .collect();
    CatalogueService { id, product, properties }
}

fn catalogue_property(group: &str, service: &str, service_product: &str, property: Frame) -> Option<CatalogueProperty> {
    let name = property.id?;
    let vendor_ref = match property.resource {
        Some(resource) => format!("/{}", resource.trim_matches('/')),
        None if !service.is_empty() => format!("/{group}/{service}/{name}"),
        None => {
            tracing::warn!(group, property = name, "left out: the vendor tells neither its path nor its service");
            return None;
        }
    };
    let product = property.product.unwrap_or_else(|| service_product.to_owned());
    let active = match &property.active {
        Some(text) => text.eq_ignore_ascii_case("Y"),
        // Streaming properties have no such element in the vendor's own example, so its absence says nothing.
        None => product.eq_ignore_ascii_case("STREAMING"),
    };
    let caching = product.eq_ignore_ascii_case("CACHING");
    Some(CatalogueProperty { vendor_ref, name, product, active, caching, areas: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::read_text;
    use super::*;

    fn services(text: &str) -> Result<Vec<CatalogueService>, CdnError> {
        let mut visitor = Services::new("12345");
        read_text(text, &mut visitor)?;
        visitor.finish()
    }

    #[test]
    fn an_answer_about_something_else_is_not_an_empty_group() {
        for text in ["<html><body>maintenance</body></html>", "{}", "<error><message>no</message></error>"] {
            assert!(matches!(services(text), Err(CdnError::Unreadable(_))), "{text}");
        }
        assert_eq!(services("<accessGroup id='1'/>").unwrap(), []);
    }

    const EXAMPLE: &str = r#"<accessGroup id="12345" name="My Access Group"><apiCorrelationId>..</apiCorrelationId><serviceResource>/12345</serviceResource>
     <services><service id="BBBN56789"><serviceResource>/12345/BBBN56789</serviceResource><product>CACHING</product>
      <networkIdentifiers><ni id="cdn.example.com"><serviceResource>/12345/BBBN56789/cdn.example.com</serviceResource>
       <product>CACHING</product><active>Y</active></ni><NI ID="*.img.example.com"><Active> y </Active></NI>
       <ni id="old.example.com"><product>caching</product><active>N</active></ni><ni id="odd.example.com"/></networkIdentifiers></service></services>
     <networkIdentifiers><ni id="sample-live"><serviceResource>/12345/BBBN10111/sample-live</serviceResource>
       <product>STREAMING</product><type>Live</type></ni></networkIdentifiers>
     <accessGroups><accessGroup id="2"><services><service id="S"><networkIdentifiers><ni id="x"/></networkIdentifiers></service></services></accessGroup></accessGroups>
     </accessGroup>"#;

    #[test]
    fn services_hold_their_properties_and_the_group_its_own() {
        let services = services(EXAMPLE).unwrap();
        let flat: Vec<_> = services
            .iter()
            .flat_map(|service| service.properties.iter().map(move |property| (service.id.as_str(), property)))
            .map(|(id, property)| (id, property.vendor_ref.as_str(), property.active, property.caching))
            .collect();
        assert_eq!(
            flat,
            [
                ("BBBN56789", "/12345/BBBN56789/cdn.example.com", true, true),
                ("BBBN56789", "/12345/BBBN56789/*.img.example.com", true, true),
                ("BBBN56789", "/12345/BBBN56789/old.example.com", false, true),
                ("BBBN56789", "/12345/BBBN56789/odd.example.com", false, true),
                ("", "/12345/BBBN10111/sample-live", true, false),
            ]
        );
        assert_eq!(services.len(), 2);
    }

    #[test]
    fn services_are_read_from_json_too() {
        let text = r#"{"accessGroup":{"services":[{"networkIdentifiers":[{"id":"a.example.com","active":"Y"}],"product":"CACHING","id":"S1"}]}}"#;
        let services = services(text).unwrap();
        assert_eq!((services.len(), services[0].id.as_str()), (1, "S1"));
        assert_eq!(services[0].properties[0].vendor_ref, "/12345/S1/a.example.com");
        assert!(services[0].properties[0].active);
    }
}
