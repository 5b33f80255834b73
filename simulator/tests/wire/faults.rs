//! Every kind of fault, as a client meets it.
//!
//! Two things are looked at: the broken answer, and whether an invalidation was registered all the same,
//! because a client that lost the answer cannot know. Rules are set over HTTP, so their JSON is tested
//! along. Faults of the edge server are in `edge`.

use std::time::{Duration, Instant};

use crate::client::{PROPERTY, Wire, read};

#[tokio::test]
async fn forbidden_is_a_403_to_a_request_that_was_right() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"services","kind":"forbidden","times":1}]"#).await;
    let answer = wire.get("/services/cdn/v1.0/12345").await;
    assert_eq!((answer.status, answer.body.starts_with("<error>")), (403, true));
    assert_eq!(wire.get("/services/cdn/v1.0/12345").await.status, 200);
}

#[tokio::test]
async fn status_answers_that_status_until_the_rules_are_cleared() {
    let mut wire = Wire::start().await;
    wire.faults(r#"[{"operation":"*","kind":"status","status":503}]"#).await;
    wire.accept = "text/json";
    for _ in 0..3 {
        let answer = wire.get("/accessGroups/v1.0").await;
        assert_eq!(answer.status, 503);
        assert!(answer.json()["error"]["message"].is_string());
    }
    let (_, rules) = wire.call("GET", "faults", "").await;
    assert_eq!((&rules[0]["applied"], &rules[0]["kind"]), (&3.into(), &"status".into()));
    wire.call("DELETE", "faults", "").await;
    assert_eq!(wire.get("/accessGroups/v1.0").await.status, 200);
}

#[tokio::test]
async fn slow_answers_rightly_but_late() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"invalidate","kind":"slow","delay_ms":800}]"#).await;
    let begun = Instant::now();
    assert_eq!(wire.get("/key/v1.0").await.status, 200);
    let key_took = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(wire.post(PROPERTY, &["/a"]).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(800));
    assert!(key_took < Duration::from_millis(800));
}

#[tokio::test]
async fn a_client_that_gives_up_on_a_slow_answer_does_not_undo_its_request() {
    let wire = Wire::start().await;
    for (after_effect, at_once, in_the_end) in [(false, 0, 1), (true, 2, 2)] {
        let rule =
            format!(r#"[{{"operation":"invalidate","kind":"slow","delay_ms":1500,"after_effect":{after_effect}}}]"#);
        wire.faults(&rule).await;
        let request = wire.request("POST", PROPERTY, "text/xml");
        let request = request.body("<paths><path>/a</path></paths>");
        assert!(read(request.timeout(Duration::from_millis(200))).await.is_err());
        let registered = async || wire.get(PROPERTY).await.attributes("invalidation", "id").len();
        assert_eq!(registered().await, at_once);
        let deadline = Instant::now() + Duration::from_secs(20);
        while registered().await < in_the_end && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(registered().await, in_the_end);
    }
}

#[tokio::test]
async fn garbage_is_a_200_that_is_no_xml() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"invalidations","kind":"garbage"}]"#).await;
    let answer = wire.get(PROPERTY).await;
    assert_eq!(answer.status, 200);
    let mut reader = quick_xml::Reader::from_str(&answer.body);
    let refused = loop {
        match reader.read_event() {
            Err(_) => break true,
            Ok(quick_xml::events::Event::Eof) => break false,
            Ok(_) => {}
        }
    };
    assert!(refused, "{}", answer.body);
}

#[tokio::test]
async fn cut_ends_the_connection_in_the_middle_of_the_body() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"kind":"cut"}]"#).await;
    let mut response = wire.request("GET", "/services/cdn/v1.0/12345", "text/xml").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let declared = response.content_length().unwrap();
    let mut received = 0;
    let failed = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received += chunk.len() as u64,
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(failed && received > 0 && received < declared, "{received} of {declared}");
}

#[tokio::test]
async fn cut_registers_the_invalidation_only_after_its_effect() {
    let wire = Wire::start().await;
    for (after_effect, registered) in [(false, 0), (true, 1)] {
        wire.control().clear_requests();
        let rule = format!(r#"[{{"operation":"invalidate","kind":"cut","after_effect":{after_effect},"times":1}}]"#);
        wire.faults(&rule).await;
        assert!(wire.try_post(PROPERTY, &["/a"]).await.is_err());
        assert_eq!(wire.get(PROPERTY).await.attributes("invalidation", "id").len(), registered);
        let entry = &wire.control().requests(0).requests[0];
        assert_eq!(entry.registered, after_effect);
        assert_eq!(&*entry.paths, ["/a"]);
        assert_eq!(entry.fault, Some("cut"));
    }
}

#[tokio::test]
async fn other_faults_after_the_effect_hide_it_too() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"invalidate","kind":"status","status":500,"after_effect":true,"times":1},{"operation":"invalidate","kind":"garbage","times":1}]"#).await;
    assert_eq!(wire.post(PROPERTY, &["/a"]).await.status, 500);
    assert_eq!(wire.post(PROPERTY, &["/b"]).await.status, 200);
    let list = wire.get(PROPERTY).await;
    assert!(list.body.contains("<path>/a</path>") && !list.body.contains("<path>/b</path>"));
}

#[tokio::test]
async fn huge_streams_as_many_bytes_as_asked_behind_a_good_start() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"key","kind":"huge","bytes":5000000}]"#).await;
    let answer = wire.get("/key/v1.0").await;
    assert_eq!((answer.status, answer.body.len()), (200, 5_000_000));
    assert!(answer.body.starts_with("<accessGroup id=\"1\" name=\"huge\">"));
    wire.faults(r#"[{"operation":"key","kind":"huge","bytes":1000000000000}]"#).await;
    let mut response = wire.request("GET", "/key/v1.0", "text/xml").send().await.unwrap();
    assert_eq!(response.content_length(), None);
    assert!(response.chunk().await.unwrap().is_some());
}

#[tokio::test]
async fn forget_lists_as_if_there_were_no_invalidation() {
    let wire = Wire::start().await;
    wire.post(PROPERTY, &["/a"]).await;
    wire.faults(r#"[{"operation":"*","property":"cdn.example.com","kind":"forget","times":1}]"#).await;
    assert_eq!(wire.post(PROPERTY, &["/b"]).await.status, 200);
    assert!(wire.get(PROPERTY).await.body.contains("<invalidations/>"));
    assert_eq!(wire.get(PROPERTY).await.attributes("invalidation", "id").len(), 2);
}

#[tokio::test]
async fn a_rule_for_one_property_leaves_the_others_alone() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"invalidate","property":"www.example.com","kind":"status","status":500,"skip":1}]"#)
        .await;
    let www = "/invalidations/v1.0/12345/BBBN56789/www.example.com";
    assert_eq!(wire.post(www, &["/a"]).await.status, 200);
    assert_eq!(wire.post(PROPERTY, &["/a"]).await.status, 200);
    assert_eq!(wire.post(www, &["/a"]).await.status, 500);
    assert_eq!(wire.post(PROPERTY, &["/a"]).await.status, 200);
}

#[tokio::test]
async fn wrong_rules_are_refused_and_the_old_ones_stay() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"key","kind":"forbidden"}]"#).await;
    for rules in [r#"[{"kind":"nothing"}]"#, r#"[{"kind":"slow"}]"#, r#"[{"kind":"cut","colour":1}]"#, "{}", ""] {
        assert_eq!(wire.call("POST", "faults", rules).await.0, 400, "{rules}");
    }
    assert_eq!(wire.get("/key/v1.0").await.status, 403);
}
