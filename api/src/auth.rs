//! Who is calling. A handler that touches data takes a [`Caller`], which proves who it is and what the
//! credential may be used for, so one without the check does not compile against the data.
//!
//! A credential is `Authorization: Bearer <token>` or the parameter `token`; it is checked with
//! every request, so a logout counts at once on every server. Callers without a credential from a
//! trusted network count as staff. Every extractor here counts against the caller's rate limit.

use crate::error::ApiError;
use crate::limits;
use crate::params::RawParams;
use crate::state::SharedState;
use overseas_shared::config::HttpConfig;
use overseas_shared::db::account::{self, Role};
use overseas_shared::db::audit::NewEntry;
use overseas_shared::domain::{EmailAddress, Principal, Scope, TokenScope, TokenScopes};
use overseas_shared::secret::token_hash;
use poem::web::RemoteAddr;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use std::net::{IpAddr, Ipv4Addr};

/// The id of a request, put into its extensions by `app`.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Where a request came from, past the proxies that are trusted.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// A caller whose credential was checked. As a handler's parameter: one that may read.
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// Whether it may refresh and preload for itself.
    pub operate_right: bool,
    /// Where it calls from.
    pub address: IpAddr,
    /// The id of its request.
    pub request_id: String,
    /// The epoch that was read for this request.
    pub epoch: i64,
    scopes: TokenScopes,
}

/// A caller whose credential may refresh and preload.
pub struct Purger(pub Caller);

/// A caller that may follow tasks: one that may read, or one that may make them.
pub struct TaskReader(pub Caller);

/// Somebody who wants a log: with a link, whose signature the handler checks, or a caller that may read.
pub enum LogReader {
    /// Somebody with what looks like a link.
    Link(Visitor),
    /// A caller that may read.
    Caller(Caller),
}

/// A caller who acts for anyone and may change what users may do.
pub struct Staff(pub Caller);

/// Somebody, perhaps without a credential.
pub struct Visitor {
    /// Where the call comes from.
    pub address: IpAddr,
    /// The id of the request.
    pub request_id: String,
}

/// The user for whom a caller acts.
#[derive(Debug, Clone)]
pub struct Target {
    /// The row's id.
    pub id: i64,
    /// Who it is.
    pub email: EmailAddress,
    /// Whether it may refresh and preload.
    pub operate_right: bool,
}

impl Visitor {
    fn of(request: &Request) -> Self {
        let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        Self { address: client_address(request), request_id }
    }

    async fn meet(request: &Request) -> Result<Self, ApiError> {
        let visitor = Self::of(request);
        limits::count(request, state_of(request)?, visitor.address, &visitor.address.to_string()).await?;
        Ok(visitor)
    }

    /// The audit row of what this request does.
    #[must_use]
    pub fn entry(&self, at: i64, actor: &str, action: &'static str, target: &str, detail: &str) -> NewEntry {
        NewEntry {
            at,
            actor: actor.to_owned(),
            address: self.address.to_string(),
            action,
            target: target.to_owned(),
            detail: detail.to_owned(),
            request_id: self.request_id.clone(),
        }
    }
}

impl LogReader {
    /// A link is judged by its signature alone, whoever follows it.
    async fn meet(request: &Request) -> Result<Self, ApiError> {
        let params = request.extensions().get::<RawParams>();
        // Empty is the same as left out.
        let is_given = |name| params.and_then(|params| params.0.get(name)).is_some_and(|value| *value != "");
        if is_given("signature") || is_given("expires") {
            return Ok(Self::Link(Visitor::meet(request).await?));
        }
        Ok(Self::Caller(Caller::identify(request).await?.with(&[TokenScope::Read])?))
    }
}

impl Caller {
    async fn identify(request: &Request) -> Result<Self, ApiError> {
        let state = state_of(request)?;
        let Visitor { address, request_id } = Visitor::of(request);
        let trusted = state.config.http.trusts(address);
        let Some(token) = token_of(request) else {
            if trusted {
                let (principal, epoch) = (Principal::TrustedNetwork, state.epoch().await?);
                let scopes = TokenScopes::SESSION;
                return Ok(Self { principal, operate_right: true, address, request_id, epoch, scopes });
            }
            limits::count(request, state, address, &address.to_string()).await?;
            let message = "no credential: log in with POST /level3/login and send `Authorization: Bearer <token>` or the parameter token";
            return Err(ApiError::Unauthorized(message.to_owned()));
        };
        let epoch = state.epoch().await?;
        let Some(session) = state.session(epoch, token_hash(&token)).await? else {
            limits::count(request, state, address, &address.to_string()).await?;
            let message = "the token is not valid (any more): log in again with POST /level3/login";
            return Err(ApiError::Unauthorized(message.to_owned()));
        };
        limits::count(request, state, address, session.email.as_str()).await?;
        if let Some(token) = session.api_token {
            state.note_token_use(token).await;
        }
        let principal = match session.role {
            Role::User => Principal::User { id: session.user_id, email: session.email },
            Role::Staff => Principal::Staff { id: session.user_id, email: session.email },
        };
        let (operate_right, scopes) = (session.operate_right, session.scopes);
        Ok(Self { principal, operate_right, address, request_id, epoch, scopes })
    }

    /// This caller, if its credential may be used for one of these.
    fn with(self, scopes: &[TokenScope]) -> Result<Self, ApiError> {
        if scopes.iter().any(|scope| self.scopes.allow(*scope)) {
            return Ok(self);
        }
        let needed: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        Err(ApiError::Forbidden(format!(
            "the token has the scope {}; this needs {}: ask for another token",
            self.scopes,
            needed.join(" or ")
        )))
    }

    fn staff(self) -> Result<Self, ApiError> {
        if self.principal.is_staff() {
            return self.with(&[TokenScope::Admin]);
        }
        Err(ApiError::Forbidden("only staff may do this".to_owned()))
    }

    /// The audit row of what this caller does.
    #[must_use]
    pub fn entry(&self, at: i64, action: &'static str, target: &str, detail: &str) -> NewEntry {
        let visitor = Visitor { address: self.address, request_id: self.request_id.clone() };
        visitor.entry(at, self.principal.label(), action, target, detail)
    }

    /// What this caller's queries may touch.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.principal.scope()
    }

    /// The user for whom this request acts: the caller itself, or for staff whom `login_email` names.
    ///
    /// # Errors
    /// 403 for another user's address, 404 for one that is no user's, 400 where staff must name one.
    pub async fn target(&self, state: &SharedState, login_email: Option<&str>) -> Result<Target, ApiError> {
        let named =
            login_email.map(EmailAddress::parse).transpose().map_err(|error| ApiError::wrong("login_email", error))?;
        if let Principal::User { id, email } = &self.principal {
            if named.is_some_and(|named| named != *email) {
                return Err(ApiError::Forbidden(
                    "login_email: you may act for yourself only; leave it out or send your own".to_owned(),
                ));
            }
            return Ok(Target { id: *id, email: email.clone(), operate_right: self.operate_right });
        }
        let Some(email) = named.or_else(|| self.principal.email().cloned()) else {
            return Err(ApiError::missing("login_email"));
        };
        let user = account::find_user(&state.db, &email).await?;
        let user = user.ok_or_else(|| ApiError::NotFound(format!("login_email: there is no user {email}")))?;
        Ok(Target { id: user.id, email: user.email, operate_right: user.operate_right })
    }
}

fn state_of(request: &Request) -> Result<&SharedState, ApiError> {
    request.data::<SharedState>().ok_or_else(|| ApiError::Internal("a request without state".to_owned()))
}

fn token_of(request: &Request) -> Option<String> {
    let bearer = request.header("Authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let parameter = || request.extensions().get::<RawParams>()?.text("token").map(str::to_owned);
    bearer.or_else(parameter).filter(|token| !token.is_empty())
}

/// The client's address as `app` found it.
#[must_use]
pub fn client_address(request: &Request) -> IpAddr {
    request.extensions().get::<ClientAddress>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0)
}

/// The address of the client: the peer's, or, if the peer is a trusted proxy, the last one in
/// `X-Forwarded-For` that is not.
#[must_use]
pub fn find_client(config: &HttpConfig, peer: &RemoteAddr, forwarded: &[&str]) -> IpAddr {
    let peer = peer.as_socket_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical());
    if !config.is_proxy(peer) {
        return peer;
    }
    let mut client = peer;
    for hop in forwarded.iter().rev().flat_map(|header| header.rsplit(',')) {
        match hop.trim().trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => client = address.to_canonical(),
            // What cannot be read ends the chain that can be believed.
            Err(_) => break,
        }
        if !config.is_proxy(client) {
            break;
        }
    }
    client
}

fn register_schemes(registry: &mut Registry) {
    let scheme = |ty, description, name, key_in, scheme| MetaSecurityScheme {
        ty,
        description: Some(description),
        name,
        key_in,
        scheme,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    };
    let bearer = scheme("http", "The token that POST /level3/login answered.", None, None, Some("bearer"));
    registry.create_security_scheme("bearer", bearer);
    let token =
        scheme("apiKey", "The same token as a parameter, as old clients send it.", Some("token"), Some("query"), None);
    registry.create_security_scheme("token", token);
}

macro_rules! extractor {
    ($type:ty, $schemes:expr, $request:ident => $identify:expr) => {
        impl<'a> ApiExtractor<'a> for $type {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_schemes(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                $schemes
            }

            async fn from_request(
                $request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> Result<Self> {
                Ok($identify)
            }
        }
    };
}

const SCHEMES: [&str; 2] = ["bearer", "token"];

extractor!(Visitor, vec![], request => Visitor::meet(request).await?);
extractor!(Caller, SCHEMES.to_vec(), request => Caller::identify(request).await?.with(&[TokenScope::Read])?);
extractor!(Purger, SCHEMES.to_vec(), request => Purger(Caller::identify(request).await?.with(&[TokenScope::Purge])?));
extractor!(TaskReader, SCHEMES.to_vec(), request => {
    TaskReader(Caller::identify(request).await?.with(&[TokenScope::Read, TokenScope::Purge])?)
});
extractor!(LogReader, SCHEMES.to_vec(), request => LogReader::meet(request).await?);
extractor!(Staff, SCHEMES.to_vec(), request => Staff(Caller::identify(request).await?.staff()?));

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let config = HttpConfig {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ..HttpConfig::default()
        };
        let peer: SocketAddr = peer.parse().unwrap();
        find_client(&config, &RemoteAddr(peer.into()), forwarded).to_string()
    }

    #[test]
    fn x_forwarded_for_is_believed_only_from_trusted_proxies() {
        assert_eq!(client("203.0.113.9:1", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1:1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("[fd00::1]:1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(client("[::ffff:10.0.0.1]:1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn what_a_client_writes_before_the_proxies_is_not_believed() {
        assert_eq!(client("10.0.0.1:1", &["127.0.0.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1", &["127.0.0.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1", &["127.0.0.1, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1:1", &[]), "10.0.0.1");
    }
}
