//! The key, the access groups and the services, as the help pages' examples show them.
//!
//! Whole pieces of XML are compared where nesting and order are part of the form. The data are those of
//! `demo.toml`; a test that needs others changes its own copy.

use crate::client::Wire;

#[tokio::test]
async fn the_key_tells_its_group_its_role_and_its_credits() {
    let wire = Wire::start().await.with_second_key();
    let answer = wire.get("/key/v1.0").await;
    assert!(answer.content_type.starts_with("text/xml"));
    assert_eq!(answer.attributes("apikey", "id"), ["200001"]);
    assert_eq!(answer.attributes("assignedAccessGroup", "id"), ["22001"]);
    assert_eq!(answer.attributes("assignedAccessGroup", "name"), ["Second Group"]);
    assert_eq!(answer.attributes("contact", "name"), ["ops@example.net"]);
    assert_eq!(answer.attributes("role", "name"), ["Reporting"]);
    assert!(answer.body.contains("<status>Active</status><credits>702</credits><next-top-up>2"));
    assert!(answer.body.contains("<apiCorrelationId>CDNPortal-"));
}

#[tokio::test]
async fn credits_go_down_by_one_a_request_however_many_paths_and_properties_it_has() {
    let wire = Wire::start().await.with_second_key();
    let credits = async || {
        let answer = wire.get("/key/v1.0").await.body;
        let rest = answer.split_once("<credits>").unwrap().1;
        rest.split_once('<').unwrap().0.to_owned()
    };
    wire.post("/invalidations/v1.0/22001", &["/a", "/b"]).await;
    assert_eq!(credits().await, "701");
    wire.post("/invalidations/v1.0/22001", &["bad"]).await;
    assert_eq!(credits().await, "701");
}

#[tokio::test]
async fn access_groups_nest_in_xml_and_are_flat_in_json() {
    let mut wire = Wire::start().await;
    let xml = wire.get("/accessGroups/v1.0").await;
    assert_eq!(xml.attributes("accessGroup", "id"), ["12345", "12346"]);
    assert!(xml.body.contains("<serviceResource>/12345</serviceResource>"));
    assert!(xml.body.contains("<parentId>12345</parentId>"));
    assert!(xml.body.contains("<accessGroups><accessGroup id=\"12346\" name=\"Example Child\">"));
    assert!(xml.body.ends_with("</accessGroup></accessGroups></accessGroup>"));
    wire.accept = "text/json";
    let json = wire.get("/accessGroups/v1.0/").await;
    assert_eq!(json.content_type, "application/json");
    let json = json.json();
    assert_eq!(json["id"], 12345);
    assert_eq!(json["name"], "Example Group");
    assert!(json["description"].is_string() && json["apiCorrelationId"].is_string());
    assert_eq!(json.as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn services_of_a_group_are_its_own_only() {
    let wire = Wire::start().await;
    let answer = wire.get("/services/cdn/v1.0/12345").await;
    assert_eq!(answer.attributes("accessGroup", "id"), ["12345"]);
    assert_eq!(answer.attributes("service", "id"), ["BBBN56789"]);
    let properties = ["cdn.example.com", "www.example.com", "old.example.com", "*.img.example.com", "sample-live"];
    assert_eq!(answer.attributes("ni", "id"), properties);
    for part in [
        "<service id=\"BBBN56789\"><serviceResource>/12345/BBBN56789</serviceResource><product>CACHING</product><networkIdentifiers>",
        "<ni id=\"cdn.example.com\"><serviceResource>/12345/BBBN56789/cdn.example.com</serviceResource><product>CACHING</product><active>Y</active></ni>",
        "<serviceResource>/12345/BBBN56789/old.example.com</serviceResource><product>CACHING</product><active>N</active></ni>",
        "</services><networkIdentifiers><ni id=\"sample-live\"><serviceResource>/12345/BBBN10111/sample-live</serviceResource><product>STREAMING</product><type>Live</type></ni></networkIdentifiers></accessGroup>",
    ] {
        assert!(answer.body.contains(part), "{part}\n{}", answer.body);
    }
    let child = wire.get("/services/cdn/v1.0/12346").await;
    assert_eq!(child.attributes("ni", "id"), ["a.example.com", "b.example.com"]);
}

#[tokio::test]
async fn a_narrower_scope_gives_less() {
    let wire = Wire::start().await;
    let service = wire.get("/services/cdn/v1.0/12345/BBBN56789").await;
    assert_eq!(service.attributes("ni", "id").len(), 4);
    let property = wire.get("/services/cdn/v1.0/12345/BBBN56789/www.example.com").await;
    assert_eq!(property.attributes("ni", "id"), ["www.example.com"]);
    let live = wire.get("/services/cdn/v1.0/12345/BBBN10111/sample-live").await;
    assert_eq!(live.attributes("ni", "id"), ["sample-live"]);
}

#[tokio::test]
async fn names_are_escaped() {
    let mut config = crate::client::config();
    config.access_groups[0].name = "A & B <\"C\">".to_owned();
    let wire = Wire::with(config).await;
    let answer = wire.get("/services/cdn/v1.0/12345").await;
    assert!(answer.body.contains("name=\"A &amp; B &lt;&quot;C&quot;&gt;\""));
}

#[tokio::test]
async fn other_paths_get_404_and_other_methods_405() {
    let wire = Wire::start().await;
    for path in ["/", "/key/v2.0", "/usage/cdn/v1.0", "/services/cdn/v1.0", "/services/cdn/v1.0/1/2/3/4"] {
        assert_eq!(wire.get(path).await.status, 404, "{path}");
    }
    assert_eq!(wire.post("/key/v1.0", &["/a"]).await.status, 405);
}
