//! The client against a vendor made by hand.
//!
//! What is tested here is what only a real connection shows: the bytes that are sent, and what
//! comes of refusals, pauses, cuts and floods.

mod usage;

use super::*;
use crate::cdn::LocalGate;
use crate::cdn::stand_in::{Reply, Vendor, answer, header, ok};
use std::sync::atomic::Ordering;
use std::time::Instant;

const SECRET: &str = "EXAMPLEsecret0123456";
const KEY: &str = r#"<apikey id="1"><status>Active</status><credits>7</credits></apikey>"#;
const SUBMITTED: &str = r#"<accessGroup id="1"><ni id="n"><invalidations><invalidation id="AG_1/2@3" path="/a"/></invalidations></ni></accessGroup>"#;

fn client(vendor: &Vendor) -> Level3 {
    let table = serde_json::json!({
        "vendor": "level3", "base_url": vendor.url(), "key_id": "55555", "secret": SECRET, "timeout_seconds": 5,
        "rate_limit_pause_seconds": 1
    });
    let config: CdnConfig = serde_json::from_value(table).unwrap();
    Level3::new("main", &config, Arc::new(LocalGate::default())).unwrap()
}

fn property() -> PropertyAddress {
    PropertyAddress { vendor_ref: "/12345/BBBN56789/cdn.example.com".to_owned(), name: "cdn.example.com".to_owned() }
}

fn urls(paths: &[&str]) -> Vec<PurgeUrl> {
    paths.iter().map(|path| PurgeUrl::parse(&format!("http://cdn.example.com{path}")).unwrap()).collect()
}

fn expected_authorization(request: &str, verb: &str, path: &str) -> String {
    let signer = Signer::new("55555", SECRET.into());
    let date = header(request, "date").unwrap();
    let content_type = header(request, "content-type").unwrap();
    let signed = signature::Signed { date, path, content_type, verb, content_md5: "" };
    signer.authorization(&signer.signature(signed))
}

#[tokio::test]
async fn a_submission_is_signed_over_what_is_sent() {
    let vendor = Vendor::start(vec![ok(SUBMITTED)]).await;
    let level3 = client(&vendor);
    let accepted = level3.submit(&property(), Action::Refresh, &urls(&["/a?x=1&y=2", "/b/"])).await.unwrap();
    assert_eq!(accepted.vendor_id, "AG_1/2@3");
    level3.submit(&property(), Action::Preload, &urls(&["/a"])).await.unwrap();
    let [refresh, preload] = vendor.requests().try_into().unwrap();
    let path = "/invalidations/v1.0/12345/BBBN56789/cdn.example.com";
    assert!(refresh.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{refresh}");
    assert!(preload.starts_with(&format!("POST {path}?force=true HTTP/1.1\r\n")), "{preload}");
    assert!(refresh.ends_with("\r\n\r\n<paths><path>/a?x=1&amp;y=2</path><path>/b/*</path></paths>"));
    for request in [&refresh, &preload] {
        assert_eq!(header(request, "authorization"), Some(expected_authorization(request, "POST", path).as_str()));
        assert_eq!(header(request, "accept"), Some("text/xml"));
        assert_eq!(header(request, "accept-encoding"), None);
        assert!(header(request, "user-agent").unwrap().starts_with("overseas/"));
        let date = header(request, "date").unwrap();
        assert_eq!((date.len(), date.ends_with(" GMT")), (29, true));
    }
}

#[tokio::test]
async fn names_stand_in_the_path_as_they_are_signed() {
    let vendor = Vendor::start(vec![ok("<invalidations/>")]).await;
    let level3 = client(&vendor);
    for (name, sent) in
        [("*.img.example.com", "*.img.example.com"), ("a b#é?", "a%20b%23%C3%A9%3F"), ("%2A.a", "%2A.a")]
    {
        let address = PropertyAddress { vendor_ref: format!("/1/S/{name}"), name: name.to_owned() };
        level3.progress(&address, &[]).await.unwrap();
        let request = vendor.requests().pop().unwrap();
        let path = format!("/invalidations/v1.0/1/S/{sent}");
        assert!(request.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{request}");
        assert_eq!(header(&request, "content-type"), Some("text/xml"));
        assert_eq!(header(&request, "authorization"), Some(expected_authorization(&request, "GET", &path).as_str()));
    }
    for dots in ["/1/../2", "/1/%2e%2E/2", "/./1"] {
        let address = PropertyAddress { vendor_ref: dots.to_owned(), name: String::new() };
        assert!(matches!(level3.progress(&address, &[]).await, Err(CdnError::Rejected(_))), "{dots}");
    }
    assert_eq!(vendor.requests().len(), 3);
}

#[tokio::test]
async fn the_account_and_the_catalogue_are_read() {
    let ahead = "Date: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
    let group =
        r#"<accessGroup id="1" name="A"><accessGroups><accessGroup id="2" name="B"/></accessGroups></accessGroup>"#;
    let services = r#"<accessGroup id="2"><services><service id="S"><networkIdentifiers><ni id="a.example.com"/></networkIdentifiers></service></services></accessGroup>"#;
    let vendor = Vendor::start(vec![answer("200 OK", ahead, KEY), ok(group), ok(services)]).await;
    let level3 = client(&vendor);
    let status = level3.account().await.unwrap();
    assert_eq!((status.summary.as_str(), status.credits), ("key Active", Some(7)));
    assert!(status.clock_ahead_seconds.unwrap() > 365 * 86_400);
    let groups = level3.groups().await.unwrap();
    assert_eq!(groups.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let services = level3.services(&groups[1]).await.unwrap();
    assert_eq!(services[0].properties[0].vendor_ref, "/2/S/a.example.com");
    let lines: Vec<String> =
        vendor.requests().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        lines,
        ["GET /key/v1.0 HTTP/1.1", "GET /accessGroups/v1.0 HTTP/1.1", "GET /services/cdn/v1.0/2 HTTP/1.1"]
    );
}

#[tokio::test]
async fn fifty_one_paths_do_not_reach_the_vendor() {
    let vendor = Vendor::start(vec![ok(SUBMITTED)]).await;
    let paths: Vec<String> = (0..51).map(|number| format!("/{number}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let refused = client(&vendor).submit(&property(), Action::Refresh, &urls(&paths)).await;
    assert!(matches!(refused, Err(CdnError::Rejected(_))));
    assert_eq!(vendor.requests().len(), 0);
}

/// Status, headers and body of an answer; the class that it gets, and what its message holds.
const REFUSALS: [(&str, &str, &str, &str, &str); 11] = [
    ("400 Bad Request", "", r#"{"error":{"message":"bad path"}}"#, "rejected", "HTTP 400: bad path"),
    ("406 Not Acceptable", "", "", "rejected", "HTTP 406: Not Acceptable"),
    (
        "404 Not Found",
        "",
        "<error><message>gone</message></error>",
        "unknown_property",
        "cdn.example.com (HTTP 404: gone)",
    ),
    ("429 Too Many Requests", "Retry-After: 7\r\n", "", "rate_limited", "next call in 7 s"),
    ("500 Internal Server Error", "", "oops", "transient", "HTTP 500: oops"),
    ("302 Found", "Location: http://elsewhere.example.com/\r\n", "", "unreadable", "redirect to http://elsewhere"),
    ("200 OK", "", "<html>maintenance</html>", "unreadable", "not about invalidations"),
    ("200 OK", "", "garbage", "unreadable", "neither XML nor JSON"),
    ("200 OK", "", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "unreadable", "document type definition"),
    ("200 OK", "", "<invalidations><invalidation", "transient", "ends before"),
    ("401 Unauthorized", "", "who", "credentials", "key id 55555, GET /invalidations/v1.0/12345"),
];

#[tokio::test]
async fn every_refusal_has_its_class_and_the_vendors_words() {
    for (status, headers, body, class, words) in REFUSALS {
        let vendor = Vendor::start(vec![answer(status, headers, body)]).await;
        let error = client(&vendor).progress(&property(), &[]).await.unwrap_err();
        assert_eq!(error.class(), class, "{status} {body}: {error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(vendor.requests().len(), 1);
    }
}

#[tokio::test]
async fn no_connection_silence_and_a_cut_body_are_transient() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<invalidations>";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n<invalidations>\r\n";
    for reply in
        [Reply::Bytes(cut.to_owned()), Reply::Bytes(chunked.to_owned()), Reply::Bytes(String::new()), Reply::Silence]
    {
        let vendor = Vendor::start(vec![reply.clone()]).await;
        let mut level3 = client(&vendor);
        level3.account.client = http::client(&level3.account.base, Duration::from_millis(300)).unwrap();
        let error = level3.progress(&property(), &[]).await.unwrap_err();
        assert_eq!(error.class(), "transient", "{reply:?}: {error}");
    }
    let mut level3 = client(&Vendor::start(vec![Reply::Silence]).await);
    level3.account.base = url::Url::parse("http://127.0.0.1:1").unwrap();
    assert_eq!(level3.account().await.unwrap_err().class(), "transient");
}

#[tokio::test]
async fn a_403_after_a_success_pauses_the_account_without_touching_the_vendor() {
    let vendor = Vendor::start(vec![ok(KEY), answer("403 Forbidden", "", ""), ok(KEY)]).await;
    let level3 = client(&vendor);
    level3.account().await.unwrap();
    let refused = level3.account().await.unwrap_err();
    assert_eq!(refused, CdnError::RateLimited { retry_after: Duration::from_secs(1) });
    let began = Instant::now();
    for _ in 0..5 {
        let held = level3.submit(&property(), Action::Refresh, &urls(&["/a"])).await.unwrap_err();
        assert!(held.account_pause().is_some_and(|pause| pause <= Duration::from_secs(1)));
    }
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!(vendor.requests().len(), 2);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    level3.account().await.unwrap();
    assert_eq!(vendor.requests().len(), 3);
}

#[tokio::test]
async fn a_403_from_the_first_call_on_is_about_the_credentials() {
    let told = format!("<error><message>bad signature for secret {SECRET}</message></error>");
    let vendor = Vendor::start(vec![answer("403 Forbidden", "", &told)]).await;
    let level3 = client(&vendor);
    for _ in 0..3 {
        let error = level3.account().await.unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, CdnError::Credentials { retry_after, .. } if retry_after.as_secs() >= 14));
        assert!(message.contains("key id 55555") && message.contains("bad signature for secret (secret)"), "{message}");
    }
    assert_eq!(vendor.requests().len(), 1);
    assert!(!format!("{level3:?}").contains(SECRET));
}

#[tokio::test]
async fn a_flood_is_stopped_at_its_limit() {
    let unknown = ("<accessGroup id='1'>", "<x/>\n");
    let text = ("<accessGroup id='1'>", "xxxxxxxx");
    let comment = ("<accessGroup id='1'><!--", "xxxxxxxx");
    let tag = ("<accessGroup id='1", "xxxxxxxx");
    let definition = ("<!DOCTYPE a [", "<!ENTITY b 'c'>");
    let items = ("<accessGroup id='1'><accessGroups>", "<accessGroup id='2'/>");
    let deep = ("<accessGroup id='1'>", "<x>");
    let json = ("{\"a\":[", "[1],");
    for (first, again) in [unknown, text, comment, tag, definition, items, deep, json] {
        let vendor = Vendor::start(vec![Reply::Endless(first, again)]).await;
        let mut level3 = client(&vendor);
        level3.account.limits = Limits { total: 4 << 20, json: 1 << 20, ..Limits::DEFAULT };
        let error = level3.groups().await.unwrap_err();
        assert_eq!(error.class(), "unreadable", "{first}{again}: {error}");
        // What the sockets' buffers take comes on top of what was read.
        assert!(vendor.flooded.load(Ordering::Relaxed) < 24 << 20, "{first}{again}");
    }
}

#[tokio::test]
async fn an_endless_refusal_is_read_no_further_than_its_message() {
    let head = "HTTP/1.1 400 Bad Request\r\n\r\n<error><message>bad path</message>";
    let flood = Reply::Bytes(format!("{head}{}", "<x/>".repeat(1 << 20)));
    let vendor = Vendor::start(vec![flood]).await;
    let error = client(&vendor).groups().await.unwrap_err();
    assert_eq!(error, CdnError::Rejected("HTTP 400: bad path".to_owned()));
}

#[tokio::test]
async fn calls_wait_for_their_permit_and_for_a_pause_that_began_meanwhile() {
    let vendor = Vendor::start(vec![ok(KEY), answer("403 Forbidden", "", ""), ok(KEY)]).await;
    let mut level3 = client(&vendor);
    level3.account.max_concurrency = 1;
    level3.account().await.unwrap();
    let (first, second, third) = tokio::join!(level3.account(), level3.account(), level3.account());
    for outcome in [first, second, third] {
        assert_eq!(outcome.unwrap_err().class(), "rate_limited");
    }
    assert_eq!(vendor.requests().len(), 2);
}
