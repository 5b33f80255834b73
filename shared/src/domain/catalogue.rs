//! What a vendor's catalogue holds, in the words that all vendors share.
//!
//! Read by the vendors' clients, stored by `db::catalogue`; neither knows the other.

/// A group of services, and perhaps of other groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The vendor's id, unique within the account.
    pub vendor_id: String,
    /// The name that the vendor shows.
    pub name: String,
    /// The vendor's id of the group that holds this one.
    pub parent_vendor_id: Option<String>,
}

/// A billing and reporting container with its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The vendor's id; empty for properties that stand directly under the group.
    pub vendor_id: String,
    /// The vendor's name of the product, such as `CACHING`.
    pub product: String,
    /// The properties in it.
    pub properties: Vec<Property>,
}

/// A caching or streaming property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// How the vendor addresses it, opaque outside the vendor's folder.
    pub vendor_ref: String,
    /// Its name as domains are compared, or as the vendor writes it if it is no domain.
    pub name: String,
    /// The vendor's name of the product.
    pub product: String,
    /// Whether it serves.
    pub active: bool,
    /// Whether it is a caching property, whose name is a host name that can be refreshed.
    pub caching: bool,
    /// The vendor's words for the areas in which it serves and is counted, joined by commas; empty where there is no such
    /// thing.
    pub areas: String,
}
