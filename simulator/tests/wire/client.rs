//! A small signing client, and what the tests read out of its answers.
//!
//! Signing is written here anew, with nothing of the simulator's, so that a mistake in its check shows.
//! `key`, `secret` and `accept` may be changed between requests; the keys are those of the demo data.
//! No redirect is followed and no proxy used: an answer is what the simulator sent. Called by all tests.

use std::sync::{Arc, Once};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use overseas_simulator::{Clock, Config, Control, Simulator, SystemClock};
use sha1::Sha1;

pub(crate) const PROPERTY: &str = "/invalidations/v1.0/12345/BBBN56789/cdn.example.com";

/// A running simulator with a key to it.
pub(crate) struct Wire {
    pub(crate) simulator: Simulator,
    pub(crate) http: reqwest::Client,
    pub(crate) key: &'static str,
    pub(crate) secret: &'static str,
    pub(crate) accept: &'static str,
    /// What requests are dated by.
    pub(crate) clock: Arc<dyn Clock>,
}

struct Still(DateTime<Utc>);

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

pub(crate) fn config() -> Config {
    Config::demo().on_free_ports()
}

pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.no_proxy().build().unwrap()
}

pub(crate) fn rfc1123(date: DateTime<Utc>) -> String {
    date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub(crate) fn sign(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

impl Wire {
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::on(overseas_simulator::start(config).await.unwrap())
    }

    pub(crate) fn on(simulator: Simulator) -> Self {
        Self {
            simulator,
            http: http(),
            key: "279000001",
            secret: "EXAMPLEsecret0123456",
            accept: "text/xml",
            clock: Arc::new(SystemClock),
        }
    }

    /// Simulator and client by a clock that stands still; only `advance` moves the vendor's time.
    pub(crate) async fn at(config: Config, time: &str) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Still(DateTime::parse_from_rfc3339(time).unwrap().to_utc()));
        let simulator = overseas_simulator::start_with_clock(config, Arc::clone(&clock)).await;
        Self { clock, ..Self::on(simulator.unwrap()) }
    }

    pub(crate) fn with_second_key(mut self) -> Self {
        (self.key, self.secret) = ("200001", "SECONDsecret01234567");
        self
    }

    pub(crate) fn control(&self) -> Control {
        self.simulator.control()
    }

    /// A signed request; `target` may have a query, which is not signed.
    pub(crate) fn request(&self, verb: &str, target: &str, content_type: &str) -> reqwest::RequestBuilder {
        let date = rfc1123(self.clock.now());
        let path = target.split('?').next().unwrap();
        let signature = sign(self.secret, &format!("{date}\n{path}\n{content_type}\n{verb}\n"));
        let method = reqwest::Method::from_bytes(verb.as_bytes()).unwrap();
        self.http
            .request(method, format!("{}{target}", self.simulator.vendor_url()))
            .header("Date", date)
            .header("Content-Type", content_type)
            .header("Accept", self.accept)
            .header("Authorization", format!("MPA {}:{signature}", self.key))
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        read(self.request("GET", target, "text/xml")).await.unwrap()
    }

    pub(crate) async fn post(&self, target: &str, paths: &[&str]) -> Answer {
        self.try_post(target, paths).await.unwrap()
    }

    pub(crate) async fn try_post(&self, target: &str, paths: &[&str]) -> reqwest::Result<Answer> {
        let paths: String = paths.iter().map(|path| format!("<path>{path}</path>")).collect();
        let body = format!("<paths>{paths}</paths>");
        read(self.request("POST", target, "text/xml").body(body)).await
    }

    /// A control call; these need no signature.
    pub(crate) async fn call(&self, verb: &str, target: &str, body: &str) -> (u16, serde_json::Value) {
        let method = reqwest::Method::from_bytes(verb.as_bytes()).unwrap();
        let url = format!("{}/_control/{target}", self.simulator.vendor_url());
        let answer = read(self.http.request(method, url).body(body.to_owned())).await.unwrap();
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    pub(crate) async fn faults(&self, rules: &str) {
        let (status, answer) = self.call("POST", "faults", rules).await;
        assert_eq!(status, 200, "{answer}");
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let content_type = response.headers().get("content-type");
    Ok(Answer {
        status: response.status().as_u16(),
        content_type: content_type.map_or("", |value| value.to_str().unwrap()).to_owned(),
        body: response.text().await?,
    })
}

impl Answer {
    /// The values of an attribute of an element, in order. Good for answers without escapes in them.
    pub(crate) fn attributes(&self, element: &str, attribute: &str) -> Vec<&str> {
        let tags = self.body.split('<').filter_map(|tag| tag.strip_prefix(element));
        let tags = tags.filter(|tag| tag.starts_with([' ', '>', '/']));
        let mark = format!(" {attribute}=\"");
        tags.filter_map(|tag| tag.split_once(&mark)?.1.split('"').next()).collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
