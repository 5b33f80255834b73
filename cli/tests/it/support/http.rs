//! Requests that [`World`]'s plain `get` and `post` cannot make, and a second API on the same rows.
//!
//! Used by the tests of the HTTP API.

use crate::support::World;
use crate::support::database;
use crate::support::world::Reply;
use overseas_api::{State, bind, serve};
use overseas_shared::config::Config;
use overseas_shared::queue::Queue;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::sync::Arc;

pub const FORM: &str = "application/x-www-form-urlencoded";

/// The text of a header; empty when it is not there.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Sends a request; returns the answer with its headers.
pub async fn send(request: RequestBuilder) -> (HeaderMap, Reply) {
    let response = request.send().await.unwrap();
    (response.headers().clone(), Reply::of(response).await)
}

impl World {
    /// A request without a credential.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request whose body is sent as it is written here.
    pub async fn raw(&self, method: &str, path: &str, content_type: &str, body: &str) -> Reply {
        let request = self.request(method, path).header("content-type", content_type);
        send(request.bearer_auth(&self.user_token).body(body.to_owned())).await.1
    }

    pub async fn put(&self, token: &str, path: &str, body: Value) -> Reply {
        send(self.request("PUT", path).bearer_auth(token).json(&body)).await.1
    }

    /// A number out of this world's database.
    pub async fn number(&self, sql: &str) -> i64 {
        database::number(&self.url, sql).await
    }

    /// Another API process on the same rows and with the same clock; returns its address.
    pub async fn another_api(&self) -> String {
        self.another_api_with(self.context.config.clone()).await
    }

    /// The same with other settings.
    pub async fn another_api_with(&self, config: Config) -> String {
        let queue = Queue::open(&config.queue.url, &config.queue.prefix).unwrap();
        let db = database::connect(&config.database.url).await;
        let bound = bind("http.listen", "127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", bound.address);
        let state = Arc::new(State::new(db, queue, self.clock.clone(), self.context.store.clone(), config));
        tokio::spawn(serve(bound, state, self.stop.clone()));
        base
    }

    /// Makes a company and its owner's user with this password, as staff do.
    pub async fn register(&self, email: &str, password: &str) {
        let company =
            json!({"company_name": format!("Company of {email}"), "owner_name": "An Owner", "owner_email": email});
        self.post(&self.staff_token, "/useful/create/company", company).await.ok();
        let user = json!({"login_email": email, "password": password});
        self.post(&self.staff_token, "/level3/user", user).await.ok();
    }
}
