//! What the parameters and answers look like exactly: lengths, patterns, what is required, which values there are.
//!
//! The types alone say `string`; a client's generator and a tester want to know which. The rules here mirror
//! those of `shared::domain` and the handlers, and `script/check-api` holds the running server to them in both
//! directions: what the document allows is accepted, what it forbids is refused. Called by `document`.

use serde_json::{Value, json};

/// One label of a host name and more; internationalised names are taken too and become this.
const HOST: &str = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*";
/// An absolute URL as refresh and preload take it.
const URL: &str = "(https?|ftp)://[^\\s|\\\\]+";
/// Characters that no name holds.
const CONTROL: &str = "\\u0000-\\u001f\\u007f-\\u009f";

fn email() -> Value {
    let pattern = format!("^[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@{HOST}$");
    json!({"type": "string", "maxLength": 254, "pattern": pattern})
}

fn domain() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": format!("^(\\*\\.)?{HOST}$")})
}

fn name() -> Value {
    let pattern = format!("^[^{CONTROL}]*[^\\s{CONTROL}][^{CONTROL}]*$");
    json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": pattern})
}

/// Text that is not only white space.
fn word() -> Value {
    json!({"type": "string", "minLength": 1, "pattern": "\\S"})
}

/// One of them or a list.
fn many(item: &Value, least: usize) -> Value {
    json!({"oneOf": [item, {"type": "array", "items": item, "minItems": least}]})
}

/// The name of a day's log in a path.
pub(super) fn log_name() -> Value {
    json!({"type": "string", "pattern": format!("^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}-(\\*\\.)?{HOST}\\.log\\.gz$")})
}

/// May be left out, be null or be empty, which is all the same.
fn optional(mut shape: Value) -> Value {
    if let Some(pattern) = shape["pattern"].as_str().and_then(|text| text.strip_prefix('^')?.strip_suffix('$')) {
        shape["pattern"] = json!(format!("^({pattern})?$"));
    }
    if let Some(object) = shape.as_object_mut() {
        object.remove("minLength");
    }
    match shape.get_mut("oneOf").and_then(Value::as_array_mut).and_then(|shapes| shapes.last_mut()) {
        Some(list) => list["nullable"] = json!(true),
        None => shape["nullable"] = json!(true),
    }
    shape
}

/// A whole number from `least` on, which a query string or form writes as text.
fn whole(least: i64) -> Value {
    json!({"anyOf": [
        {"type": "integer", "format": "int64", "minimum": least, "nullable": true},
        {"type": "string", "pattern": "^[0-9]{0,18}$"},
    ]})
}

/// The id of a row that has to be named.
fn id() -> Value {
    json!({"anyOf": [{"type": "integer", "format": "int64"}, {"type": "string", "pattern": "^[+-]?[0-9]{1,18}$"}]})
}

fn page(most: i64) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": most, "default": 200})
}

fn seconds() -> Value {
    json!({"type": "integer", "format": "int64"})
}

/// Unix seconds of a time that people write four digits of a year for.
fn time() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": 253_402_300_799_i64})
}

/// A UTC day as `20160928` or `2016-09-28`; not every one is there, such as the 31st of February.
fn day() -> Value {
    json!({"type": "string", "pattern": "^[0-9]{4}-?[0-9]{2}-?[0-9]{2}$"})
}

fn url() -> Value {
    json!({"type": "string", "minLength": 1, "pattern": format!("^{URL}(\\|{URL})*$")})
}

fn password(shortest: usize) -> Value {
    json!({"anyOf": [{"type": "string", "minLength": shortest, "maxLength": 1024}, {"type": "number"}]})
}

fn cdn_name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._-]+$"})
}

fn quota_kind() -> Value {
    json!({"enum": ["refresh_url", "refresh_directory", "preload"]})
}

/// The shapes of parameters: type, property, shape.
fn parameters() -> Vec<(&'static str, &'static str, Value)> {
    let text = || json!({"type": "string"});
    let flag = json!({"anyOf": [
        {"type": "boolean", "nullable": true},
        {"type": "string", "enum": ["true", "false", "1", "0", ""]},
        {"type": "integer", "enum": [0, 1]},
    ]});
    let alias = json!({"type": "string", "maxLength": 255, "pattern": format!("^[^{CONTROL}]*$"), "nullable": true});
    vec![
        ("LoginIn", "login_email", email()),
        ("LoginIn", "password", password(0)),
        ("TokenIn", "token", text()),
        ("CompanyIn", "company_name", name()),
        ("CompanyIn", "company_alias", alias),
        ("CompanyIn", "owner_name", name()),
        ("CompanyIn", "owner_email", email()),
        ("NewUserIn", "login_email", email()),
        ("NewUserIn", "password", password(1)),
        ("NewUserIn", "operations", flag.clone()),
        ("UserIn", "login_email", email()),
        ("UserCdnsIn", "login_email", email()),
        ("UserCdnsIn", "cdns", many(&word(), 1)),
        ("UserDomainsIn", "login_email", email()),
        ("UserDomainsIn", "cdn", word()),
        ("UserDomainsIn", "domains", many(&domain(), 1)),
        ("SetUserDomainsIn", "login_email", email()),
        ("SetUserDomainsIn", "cdn", optional(text())),
        ("SetUserDomainsIn", "cdns", optional(many(&text(), 0))),
        ("SetUserDomainsIn", "id", whole(1)),
        ("SetUserDomainsIn", "domains", optional(many(&domain(), 0))),
        ("SetUserDomainsIn", "old_domain", optional(domain())),
        ("SetUserDomainsIn", "new_domain", optional(domain())),
        ("NewCdnIn", "cdn", cdn_name()),
        ("RenameCdnIn", "id", id()),
        ("RenameCdnIn", "cdn", cdn_name()),
        ("PurgeIn", "login_email", optional(email())),
        ("PurgeIn", "path", many(&url(), 1)),
        ("PurgeIn", "dry_run", flag),
        ("ListIn", "login_email", email()),
        ("ListIn", "limit", page(1000)),
        ("ListIn", "state", json!({"type": "string", "enum": ["queued", "running", "done", "failed", "expired"]})),
        ("SeriesIn", "domain", many(&domain(), 0)),
        ("SeriesIn", "startTime", time()),
        ("SeriesIn", "endTime", time()),
        ("SeriesIn", "interval", json!({"type": "integer", "enum": [300, 3600, 86400], "default": 300})),
        ("AreaIn", "domain", many(&domain(), 0)),
        ("AreaIn", "startTime", time()),
        ("AreaIn", "endTime", time()),
        ("LogDownloadIn", "domain", many(&domain(), 1)),
        ("LogDownloadIn", "startDate", day()),
        ("LogDownloadIn", "endDate", day()),
        ("LogLinkIn", "expires", json!({"type": "string", "pattern": "^[0-9]{1,18}$"})),
        ("LogLinkIn", "signature", json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})),
        ("TasksIn", "login_email", email()),
        ("TasksIn", "taskid", many(&word(), 0)),
        ("TasksIn", "domain", optional(domain())),
        (
            "TasksIn",
            "state",
            optional(json!({"type": "string", "enum": ["queued", "running", "done", "failed", "expired"]})),
        ),
        ("TasksIn", "kind", optional(json!({"type": "string", "enum": ["refresh", "preload"]}))),
        ("TasksIn", "min_age", optional(json!({"type": "integer", "format": "int64", "minimum": 0}))),
        ("TasksIn", "max_age", optional(json!({"type": "integer", "format": "int64", "minimum": 0}))),
        ("TasksIn", "limit", page(1000)),
        ("WebhooksIn", "login_email", email()),
        ("NewWebhookIn", "login_email", optional(email())),
        (
            "NewWebhookIn",
            "url",
            json!({"type": "string", "maxLength": 2048, "pattern": format!("^https?://[^\\s\\\\{CONTROL}]+$")}),
        ),
        ("WebhookIn", "id", id()),
        ("AuditIn", "limit", page(1000)),
        ("AuditIn", "before", seconds()),
        ("AuditIn", "since", seconds()),
        ("AuditIn", "until", seconds()),
    ]
}

/// The parameters that have to be there.
const REQUIRED: [(&str, &[&str]); 14] = [
    ("NewWebhookIn", &["url"]),
    ("WebhookIn", &["id"]),
    ("LogDownloadIn", &["domain", "startDate", "endDate"]),
    ("SeriesIn", &["startTime", "endTime"]),
    ("AreaIn", &["startTime", "endTime"]),
    ("LoginIn", &["login_email", "password"]),
    ("NewUserIn", &["login_email", "password"]),
    ("CompanyIn", &["company_name", "owner_name", "owner_email"]),
    ("UserCdnsIn", &["login_email", "cdns"]),
    ("UserDomainsIn", &["login_email", "cdn", "domains"]),
    ("SetUserDomainsIn", &["login_email"]),
    ("PurgeIn", &["path"]),
    ("NewCdnIn", &["cdn"]),
    ("RenameCdnIn", &["id", "cdn"]),
];

/// What is said of a property of an answer beyond its type.
fn answers() -> Vec<(&'static str, &'static str, Value)> {
    let time = "^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$";
    vec![
        ("Failure", "err", json!({"minimum": 400, "maximum": 599})),
        ("Failure", "message", json!({"minLength": 1})),
        ("Failure", "request_id", json!({"minLength": 1})),
        ("TaskOut", "state", json!({"enum": ["queued", "running", "done", "failed", "expired"]})),
        ("TaskOut", "percentComplete", json!({"pattern": "^(100|[1-9]?[0-9])$"})),
        ("TaskOut", "taskid", json!({"pattern": "^[0-9A-HJKMNP-TV-Z]{26}$"})),
        ("TaskOut", "time", json!({"pattern": time})),
        ("AuditEntryOut", "time", json!({"pattern": time})),
        ("StaffTaskOut", "state", json!({"enum": ["queued", "running", "done", "failed", "expired"]})),
        ("StaffTaskOut", "kind", json!({"enum": ["refresh", "preload"]})),
        ("StaffTaskOut", "step", json!({"enum": ["submit", "watch", "fetch", "ended"]})),
        ("StaffTaskOut", "percentComplete", json!({"pattern": "^(100|[1-9]?[0-9])$"})),
        ("StaffTaskOut", "time", json!({"pattern": time})),
        ("VendorOut", "last_success", json!({"nullable": true})),
        ("VendorOut", "last_failure", json!({"nullable": true})),
        ("VendorOut", "last_sync", json!({"nullable": true})),
        ("VendorOut", "credits", json!({"nullable": true})),
        ("VendorOut", "paused_until", json!({"nullable": true})),
        ("WebhookOut", "secret", json!({"pattern": "^whsec_[A-Za-z0-9+/]+={0,2}$"})),
        ("WebhookOut", "last_success", json!({"nullable": true})),
        ("WebhookOut", "last_failure", json!({"nullable": true})),
        ("LogRowOut", "state", json!({"enum": ["ready", "queued", "empty", "expired"]})),
        ("LogRowOut", "date", json!({"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})),
        ("LogRowOut", "sha256", json!({"pattern": "^([0-9a-f]{64})?$"})),
        ("LogRowOut", "size", json!({"minimum": 0})),
        ("PurgeOut", "status", json!({"enum": ["success", "dry_run"]})),
        ("CapabilitiesOut", "vendor", json!({"nullable": true})),
        ("CapabilitiesOut", "refresh", json!({"nullable": true})),
        ("CapabilitiesOut", "preload", json!({"enum": ["native", "invalidate_then_fetch", "none"]})),
        ("CapabilitiesOut", "urls_per_request", json!({"minimum": 1, "nullable": true})),
        ("CapabilitiesOut", "usage", json!({"nullable": true})),
        ("CapabilitiesOut", "quotas_read_at", json!({"nullable": true})),
        ("QuotaOut", "kind", quota_kind()),
        ("PlanOut", "domains", json!({"minItems": 1})),
        ("PlanOut", "requests", json!({"minimum": 1, "nullable": true})),
        ("PlanOut", "costs", json!({"minItems": 1})),
        ("PlanOut", "quotas_read_at", json!({"nullable": true})),
        ("CostOut", "kind", quota_kind()),
        ("CostOut", "urls", json!({"minimum": 1})),
        ("CostOut", "requests", json!({"minimum": 1, "nullable": true})),
        ("CostOut", "available", json!({"minimum": 0, "nullable": true})),
        ("CostOut", "enough", json!({"nullable": true})),
        ("LoginCheckOut", "alive", json!({"enum": [0, 1]})),
        ("SummaryOut", "latest", json!({"nullable": true})),
        ("DomainStateOut", "state", json!({"enum": ["Active", "Inactive", "Pending"]})),
    ]
}

/// `PUT /level3/user_domains` wants a CDN in one of three ways, and either a list or a pair of domains.
fn combinations() -> Value {
    let none = json!({"type": "string", "nullable": true, "maxLength": 0});
    let some = json!({"type": "string", "pattern": "\\S"});
    let list = |least: usize| json!({"type": "array", "items": {}, "minItems": least});
    json!([
        {"anyOf": [
            {"required": ["cdn"], "properties": {"cdn": some}},
            {"required": ["cdns"], "properties": {"cdns": {"oneOf": [{"type": "string"}, list(1)]}}},
            {"required": ["id"], "properties": {"id": {"oneOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]}}},
        ]},
        {"anyOf": [
            {"required": ["domains"], "properties": {
                "domains": {"oneOf": [{"type": "string"}, list(0)]}, "old_domain": none, "new_domain": none,
            }},
            {"required": ["old_domain", "new_domain"], "properties": {"old_domain": some, "new_domain": some}},
        ]},
    ])
}

/// Puts the shapes into the schemas of the document.
pub(super) fn apply(schemas: &mut Value) {
    for (schema, property, mut shape) in parameters() {
        let slot = &mut schemas[schema]["properties"][property];
        if let Some(description) = slot.get("description") {
            shape["description"] = description.clone();
        }
        *slot = shape;
    }
    for (schema, names) in REQUIRED {
        schemas[schema]["required"] = json!(names);
    }
    schemas["SetUserDomainsIn"]["allOf"] = combinations();
    for (schema, property, more) in answers() {
        for (key, value) in more.as_object().into_iter().flatten() {
            schemas[schema]["properties"][property][key] = value.clone();
        }
    }
    for (schema, body) in schemas.as_object_mut().into_iter().flatten() {
        if schema.ends_with("Out") && body["properties"].get("err").is_some() {
            body["properties"]["err"]["enum"] = json!([0]);
        }
        if let Some(example) = body.get_mut("example").and_then(Value::as_object_mut) {
            example.retain(|_, value| !value.is_null());
        }
    }
}
