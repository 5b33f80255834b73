//! Listening and stopping.
//!
//! The address is bound before anything is announced, so a busy port is a clear message. At the stop
//! no connection is taken any more and requests under way get their grace period.

use crate::app::app;
use crate::state::SharedState;
use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Server};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// What the setting says.
        address: String,
        /// The system's reason and what to do.
        reason: String,
    },
    /// The server ended by itself.
    #[error("the server ended: {0}")]
    Ended(std::io::Error),
}

/// A bound address.
pub struct Bound {
    acceptor: NoDelay,
    /// The address, with the port that the system chose if 0 was asked for.
    pub address: SocketAddr,
}

/// Binds the address that `setting` names, such as `http.listen`.
///
/// # Errors
/// [`ServerError::Listen`], which says what is in the way.
pub async fn bind(setting: &str, address: &str) -> Result<Bound, ServerError> {
    let failed = |error: std::io::Error| ServerError::Listen {
        address: address.to_owned(),
        reason: match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                let variable = format!("OVERSEAS__{}", setting.to_uppercase().replace('.', "__"));
                format!(
                    "another program listens there; stop it, or choose another address with `{setting}` ({variable})"
                )
            }
            _ => error.to_string(),
        },
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let acceptor = NoDelay(TcpAcceptor::from_tokio(listener).map_err(failed)?);
    Ok(Bound { acceptor, address: bound })
}

impl Bound {
    /// Answers with these pages until `stop`, then gives what is under way some time.
    pub(crate) async fn run(
        self,
        pages: impl Endpoint + 'static,
        stop: CancellationToken,
        grace: Duration,
    ) -> Result<(), ServerError> {
        Server::new_with_acceptor(self.acceptor)
            .run_with_graceful_shutdown(pages, stop.cancelled_owned(), Some(grace))
            .await
            .map_err(ServerError::Ended)
    }
}

/// Serves until `stop`, then ends what is under way.
///
/// # Errors
/// [`ServerError::Ended`] when the server ends by itself.
pub async fn serve(bound: Bound, state: SharedState, stop: CancellationToken) -> Result<(), ServerError> {
    let grace = Duration::from_secs(state.config.http.grace_seconds);
    bound.run(app(state), stop, grace).await
}

/// Answers leave at once: without it the kernel holds the last part of one back for up to 40 ms.
struct NoDelay(TcpAcceptor);

impl Acceptor for NoDelay {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> std::io::Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        let (stream, local, remote, scheme) = self.0.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok((stream, local, remote, scheme))
    }
}
