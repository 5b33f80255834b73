//! The OpenAPI document, from the code, and Swagger UI from the binary.
//!
//! The handlers' parameter types are written by the framework as request bodies. A GET has none that
//! tools would send, so there each property of the type becomes a query parameter; the example of the
//! type becomes the parameters' examples, which is why every call in Swagger UI runs as it stands.
//! Lengths, patterns and what is required come from `shapes`. Called by `app` and by `overseas openapi`.

mod shapes;

use crate::routes::{
    accounts::Accounts, audit::Audit, capabilities::CdnCapabilities, cdns::Cdns, logs::Logs, mappings::Mappings,
    operations::Operations, purge::Purge, sessions::Sessions, statistics::Statistics, task_lists::TaskLists,
    tasks::StaffTasks, webhooks::Webhooks,
};
use poem::endpoint::make_sync;
use poem::{Endpoint, IntoEndpoint, Response};
use poem_openapi::{LicenseObject, OpenApiService};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// All handlers.
type Api = (
    Sessions,
    Purge,
    TaskLists,
    CdnCapabilities,
    Webhooks,
    Statistics,
    Logs,
    Mappings,
    Cdns,
    Accounts,
    Audit,
    StaffTasks,
    Operations,
);

const DESCRIPTION: &str = "One API for every CDN that a company buys: refresh (purge) and preload URLs, follow the tasks, \
see who is mapped to what. Parameters may stand in the query string, a JSON body or a form, on every method; where a name \
stands in both, the query string wins. `cdn` narrows what is read to one CDN; of a name that there is not, or that is not the \
caller's, nothing is found. `domain=a&domain=b`, `domain.0=a&domain.1=b` and `domain[0]=a` make lists. Unknown \
parameters are ignored, and a trailing slash changes nothing. Success is HTTP 200 with `err` 0; every failure has its HTTP status \
and `{\"err\", \"message\", \"request_id\"}`. Callers from trusted networks need no credential and count as staff.";

fn api() -> Api {
    (
        Sessions,
        Purge,
        TaskLists,
        CdnCapabilities,
        Webhooks,
        Statistics,
        Logs,
        Mappings,
        Cdns,
        Accounts,
        Audit,
        StaffTasks,
        Operations,
    )
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
    shapes::apply(&mut document["components"]["schemas"]);
    let mut schemas = document["components"]["schemas"].clone();
    if let Some(paths) = document["paths"].as_object_mut() {
        for operations in paths.values_mut().filter_map(Value::as_object_mut) {
            for (method, operation) in operations {
                if method == "get" {
                    move_to_query(operation, &schemas);
                } else {
                    describe_body(operation, &mut schemas);
                }
                describe_headers(operation);
                describe_file(operation);
            }
        }
    }
    document["components"]["schemas"] = schemas;
    link(&mut document["paths"]);
    document
});

/// The body of a GET becomes query parameters.
fn move_to_query(operation: &mut Value, schemas: &Value) {
    let Some(operation) = operation.as_object_mut() else { return };
    let Some(body) = operation.remove("requestBody") else { return };
    let reference = body["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
    let schema = &schemas[reference.rsplit('/').next().unwrap_or_default()];
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let mut parameters: Vec<Value> = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, property) in properties {
        let mut property = without_null(property);
        let is_required = required.contains(&name.as_str());
        let mut parameter = json!({"name": name, "in": "query", "required": is_required});
        if !is_required {
            // Empty is the same as left out.
            parameter["allowEmptyValue"] = json!(true);
        }
        if let Some(description) = property.as_object_mut().and_then(|object| object.remove("description")) {
            parameter["description"] = description;
        }
        if let Some(example) = schema["example"].get(name) {
            // A list of one is written as the one.
            parameter["example"] =
                example.as_array().filter(|items| items.len() == 1).map_or(example, |items| &items[0]).clone();
        }
        parameter["schema"] = property;
        parameters.push(parameter);
    }
    operation.insert("parameters".to_owned(), Value::Array(parameters));
}

/// A form cannot say null, so it has a type of its own where JSON may.
fn describe_body(operation: &mut Value, schemas: &mut Value) {
    // Whoever logs out may send the token in the header instead.
    let is_needed = !["logout", "logincheck_post"].contains(&operation["operationId"].as_str().unwrap_or_default());
    let Some(body) = operation.get_mut("requestBody") else { return };
    body["required"] = json!(is_needed);
    let form = &mut body["content"]["application/x-www-form-urlencoded"]["schema"];
    let name = form["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()).unwrap_or_default().to_owned();
    let mut plain = without_null(&schemas[&name]);
    if plain != schemas[&name] {
        let form_name = format!("{}Form", name.trim_end_matches("In"));
        plain["title"] = json!(form_name);
        form["$ref"] = json!(format!("#/components/schemas/{form_name}"));
        schemas[form_name] = plain;
    }
}

/// The schema for a place that cannot say null.
fn without_null(schema: &Value) -> Value {
    match schema {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, _)| *key != "nullable");
            kept.map(|(key, value)| (key.clone(), without_null(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_null).collect(),
        other => other.clone(),
    }
}

/// The headers of requests and answers that the types do not speak of.
fn describe_headers(operation: &mut Value) {
    if ["refresh", "preload"].contains(&operation["operationId"].as_str().unwrap_or_default()) {
        let schema = json!({"type": "string", "pattern": "^[!-~]{1,255}$", "maxLength": 255});
        let description = "The same key with the same body gives the same answer for 24 hours.";
        let key = json!({"name": "Idempotency-Key", "in": "header", "required": false, "description": description, "schema": schema});
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(key),
            None => operation["parameters"] = json!([key]),
        }
    }
    let header =
        |description: &str, schema: Value| json!({"description": description, "required": true, "schema": schema});
    let optional = |description: &str| json!({"description": description, "schema": {"type": "integer", "minimum": 0}});
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let id = json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"});
        response["headers"]["X-Request-Id"] = header("The id under which the server's log speaks of the request.", id);
        response["headers"]["RateLimit-Limit"] = optional("Calls that the caller may make at once after a pause.");
        response["headers"]["RateLimit-Remaining"] = optional("Calls that are left of them.");
        response["headers"]["RateLimit-Reset"] = optional("Seconds until all of them are free again.");
        let (name, what) = match status.as_str() {
            "429" | "503" => {
                ("Retry-After", header("Seconds until the next try.", json!({"type": "integer", "minimum": 0})))
            }
            "401" => ("WWW-Authenticate", header("`Bearer`.", json!({"type": "string"}))),
            "405" => ("Allow", header("The methods that there are.", json!({"type": "string"}))),
            _ => continue,
        };
        response["headers"][name] = what;
    }
}

/// Only a file has a name in its path, and parts.
fn describe_file(operation: &mut Value) {
    if operation["operationId"] != "log" {
        if let Some(responses) = operation["responses"].as_object_mut() {
            responses.remove("416");
        }
        return;
    }
    for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
        if parameter["in"] == "path" {
            parameter["schema"] = shapes::log_name();
            parameter["example"] = json!("2016-09-29-cdn.example.com.log.gz");
        }
    }
}

/// Which call an answer leads to: readers see the journey, and testers follow it.
fn link(paths: &mut Value) {
    let task = |list: &str| json!({"task": {"operationId": list, "parameters": {"taskid": "$response.body#/results/0/taskid"}}});
    let user =
        |operation: &str| json!({"operationId": operation, "parameters": {"login_email": "$response.body#/user"}});
    let links = [
        (
            "/level3/login",
            json!({
                "check": {"operationId": "logincheck", "parameters": {"token": "$response.body#/token"}},
                "logout": {"operationId": "logout", "requestBody": {"token": "$response.body#/token"}},
            }),
        ),
        ("/level3/refresh", task("refresh_list")),
        ("/level3/preload", task("preload_list")),
        (
            "/useful/create/company",
            json!({"user": {"operationId": "create_user", "requestBody": {"login_email": "$response.body#/company/owner_email"}}}),
        ),
        // Not the removal too: a tester would follow it and then wonder that what it made is gone.
        (
            "/level3/webhooks",
            json!({
                "enable": {"operationId": "enable_webhook", "requestBody": {"id": "$response.body#/webhook/id"}},
            }),
        ),
        ("/level3/user", json!({"cdns": user("user_cdns"), "domains": user("user_domains")})),
    ];
    for (path, links) in links {
        paths[path]["post"]["responses"]["200"]["links"] = links;
    }
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

/// The documented path that a request's path stands for, and its methods.
fn documented(path: &str) -> Option<(&'static str, &'static [String])> {
    let path = path.trim_end_matches('/');
    let found = METHODS.get_key_value(path).or_else(|| METHODS.iter().find(|(pattern, _)| stands_for(pattern, path)));
    found.map(|(known, methods)| (known.as_str(), methods.as_slice()))
}

/// Whether a path with parameters, such as `/level3/log/{name}`, stands for this one.
fn stands_for(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let fits = |(known, given): (&&str, &&str)| known == given || (known.starts_with('{') && !given.is_empty());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(fits)
}

/// The methods that a path takes.
#[must_use]
pub fn methods_of(path: &str) -> Vec<String> {
    documented(path).map(|(_, methods)| methods.to_vec()).unwrap_or_default()
}

/// The path as a metric's label: a known one, or `other`, so that clients cannot make new labels.
#[must_use]
pub fn route_label(path: &str) -> &'static str {
    documented(path).map_or("other", |(known, _)| known)
}
