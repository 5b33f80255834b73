//! The files behind the links to log packages.
//!
//! A link is checked as the vendor does: 403 when it is wrong or has ended, 404 when there is no such package. Each
//! download is recorded, and the fault rules for it are those of its service's log operation. Called by the server for
//! paths under `/_tencent_logs/`.

use poem::http::{Method, StatusCode};
use poem::{Request, Response};

use super::TencentApi;
use super::packages::{Package, Service, is_good_link};
use super::time::HOUR;
use crate::edgeone::EdgeOne;
use crate::operation::Operation;
use crate::record::RequestEntry;
use crate::reply::{Reply, SPOILED_XML, TEXT, spoiled};
use crate::tencent::Tencent;

const GZIP: &str = "application/gzip";

impl TencentApi {
    /// Answers the download of a log file and records it.
    pub(crate) async fn download(&self, request: Request) -> Response {
        let uri = request.original_uri();
        let (path, query) = (uri.path(), uri.query().unwrap_or(""));
        let package = Package::parse(path);
        let operation = match package.as_ref().map(|package| package.service) {
            Some(Service::Cdn) => Operation::TencentLog,
            Some(Service::Teo) => Operation::EdgeOneLog,
            None => Operation::Unknown,
        };
        let time_ms = self.stage.clock.now_ms();
        let mut entry = RequestEntry::new(operation, time_ms, request.method().as_str(), path, query);
        entry.property = package.as_ref().map(|package| package.domain.clone());
        let mut flight = self.stage.record.begin(entry);
        let fault = self.stage.faults.take(operation, package.as_ref().map(|package| package.domain.as_str()));
        flight.note(|entry| entry.fault = fault.as_ref().map(|fault| fault.kind.as_str()));
        let mut reply = self.file(request.method(), path, query, package);
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.delay()).await;
            if let Some(response) = spoiled(fault, &SPOILED_XML, Some(&mut reply), refusal) {
                flight.finish(response.status().as_u16());
                return response;
            }
        }
        reply.into_recorded_response(flight)
    }

    fn file(&self, method: &Method, path: &str, query: &str, package: Option<Package>) -> Reply {
        if method != Method::GET && method != Method::HEAD {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only");
        }
        let missing = || refusal(StatusCode::NOT_FOUND, "there is no such log file");
        let Some(package) = package else {
            return missing();
        };
        let account = match package.service {
            Service::Cdn => self.cdn.as_ref().map(|cdn| (Tencent::credentials(cdn), cdn.has_logs(&package))),
            Service::Teo => self.teo.as_ref().map(|teo| (EdgeOne::credentials(teo), teo.has_logs(&package))),
        };
        let Some(((_, secret_key), has_logs)) = account else {
            return missing();
        };
        let now = self.stage.clock.now().timestamp();
        if !is_good_link(secret_key, path, query, now) {
            return refusal(StatusCode::FORBIDDEN, "the link is not signed, or it has ended");
        }
        if !has_logs || package.hour + HOUR > now {
            return missing();
        }
        Reply::new(StatusCode::OK, GZIP, package.gzip())
    }
}

fn refusal(status: StatusCode, message: &str) -> Reply {
    Reply::new(status, TEXT, format!("{message}\n"))
}
