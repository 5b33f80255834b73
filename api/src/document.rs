//! The OpenAPI document, from the code, and Swagger UI from the binary.
//!
//! The handlers' parameter types are written by the framework as request bodies. A GET has none that
//! tools would send, so there each property of the type becomes a query parameter; the example of the
//! type becomes the parameters' examples, which is why every call in Swagger UI runs as it stands.
//! Called by `app` and by `overseas openapi`.

use crate::routes::{
    accounts::Accounts, audit::Audit, cdns::Cdns, mappings::Mappings, operations::Operations, purge::Purge,
    sessions::Sessions,
};
use poem::endpoint::make_sync;
use poem::{Endpoint, IntoEndpoint, Response};
use poem_openapi::{LicenseObject, OpenApiService};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// All handlers.
type Api = (Sessions, Purge, Mappings, Cdns, Accounts, Audit, Operations);

const DESCRIPTION: &str = "One API for every CDN that a company buys: refresh (purge) and preload URLs, follow the tasks, \
see who is mapped to what. Parameters may stand in the query string, a JSON body or a form, on every method; where a name \
stands in both, the query string wins. `domain=a&domain=b`, `domain.0=a&domain.1=b` and `domain[0]=a` make lists. Unknown \
parameters are ignored, and a trailing slash changes nothing. Success is HTTP 200 with `err` 0; every failure has its HTTP status \
and `{\"err\", \"message\", \"request_id\"}`. Callers from trusted networks need no credential and count as staff.";

fn api() -> Api {
    (Sessions, Purge, Mappings, Cdns, Accounts, Audit, Operations)
}

fn open_api() -> OpenApiService<Api, ()> {
    OpenApiService::new(api(), "Overseas", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0"))
}

/// The handlers as an endpoint.
pub fn service() -> impl Endpoint<Output = Response> {
    poem::EndpointExt::map_to_response(open_api().into_endpoint())
}

/// The document in its forms, made once at the start.
pub struct Document {
    json: String,
    yaml: String,
    page: String,
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl Document {
    /// Makes the document.
    #[must_use]
    pub fn new() -> Self {
        let service = open_api();
        let raw = service.spec();
        let json = serde_json::to_string_pretty(&*DOCUMENT).unwrap_or_default();
        let yaml = serde_yaml::to_string(&*DOCUMENT).unwrap_or_default();
        let page = service.swagger_ui_html().replace(&raw, &json.replace("</", "<\\/"));
        Self { json, yaml, page }
    }

    /// `GET /openapi.json`
    pub fn json(&self) -> impl Endpoint + 'static {
        let text = self.json.clone();
        make_sync(move |_| Response::builder().content_type("application/json").body(text.clone()))
    }

    /// `GET /openapi.yaml`
    pub fn yaml(&self) -> impl Endpoint + 'static {
        let text = self.yaml.clone();
        make_sync(move |_| Response::builder().content_type("application/yaml").body(text.clone()))
    }

    /// `GET /docs`
    pub fn swagger_ui(&self) -> impl Endpoint + 'static {
        let page = bytes::Bytes::from(self.page.clone());
        make_sync(move |_| Response::builder().content_type("text/html; charset=utf-8").body(page.clone()))
    }

    /// The document as `overseas openapi` writes it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.yaml
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value = serde_json::from_str(&open_api().spec()).unwrap_or_default();
    let schemas = document["components"]["schemas"].clone();
    if let Some(paths) = document["paths"].as_object_mut() {
        for operations in paths.values_mut().filter_map(Value::as_object_mut) {
            for (method, operation) in operations {
                adjust(method, operation, &schemas);
            }
        }
    }
    document
});

/// The body of a GET becomes query parameters.
fn adjust(method: &str, operation: &mut Value, schemas: &Value) {
    let Some(operation) = operation.as_object_mut() else { return };
    if method != "get" {
        return;
    }
    let Some(body) = operation.remove("requestBody") else { return };
    let reference = body["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
    let schema = &schemas[reference.rsplit('/').next().unwrap_or_default()];
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let mut parameters: Vec<Value> = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, property) in properties {
        let mut property = property.clone();
        let mut parameter = json!({"name": name, "in": "query", "required": required.contains(&name.as_str())});
        if let Some(description) = property.as_object_mut().and_then(|object| object.remove("description")) {
            parameter["description"] = description;
        }
        if let Some(example) = schema["example"].get(name) {
            parameter["example"] = example.clone();
        }
        parameter["schema"] = property;
        parameters.push(parameter);
    }
    operation.insert("parameters".to_owned(), Value::Array(parameters));
}

/// The methods of each documented path, and of the pages that are not in the document.
static METHODS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let mut methods: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, operations) in DOCUMENT["paths"].as_object().into_iter().flatten() {
        let names = operations.as_object().into_iter().flat_map(Map::keys).map(|name| name.to_uppercase());
        methods.insert(path.clone(), names.collect());
    }
    for page in ["/openapi.json", "/openapi.yaml", "/docs", "/metrics"] {
        methods.insert(page.to_owned(), vec!["GET".to_owned()]);
    }
    methods
});

/// The methods that a path takes.
#[must_use]
pub fn methods_of(path: &str) -> Vec<String> {
    METHODS.get(path.trim_end_matches('/')).cloned().unwrap_or_default()
}

/// The path as a metric's label: a known one, or `other`, so that clients cannot make new labels.
#[must_use]
pub fn route_label(path: &str) -> &'static str {
    METHODS.get_key_value(path.trim_end_matches('/')).map_or("other", |(known, _)| known.as_str())
}
