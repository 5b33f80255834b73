//! Listening and stopping.
//!
//! The address is bound before anything is announced, so a busy port is a clear message. At the stop
//! no connection is taken any more and requests under way get their grace period.

use crate::app::app;
use crate::state::SharedState;
use poem::Server;
use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
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
        /// What `http.listen` says.
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

/// Binds the address that `http.listen` names.
///
/// # Errors
/// [`ServerError::Listen`], which says what is in the way.
pub async fn bind(address: &str) -> Result<Bound, ServerError> {
    let failed = |error: std::io::Error| {
        ServerError::Listen {
        address: address.to_owned(),
        reason: match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there; stop it, or choose another address with `http.listen` (OVERSEAS__HTTP__LISTEN)".to_owned()
            }
            _ => error.to_string(),
        },
    }
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let acceptor = NoDelay(TcpAcceptor::from_tokio(listener).map_err(failed)?);
    Ok(Bound { acceptor, address: bound })
}

/// Serves until `stop`, then ends what is under way.
///
/// # Errors
/// [`ServerError::Ended`] when the server ends by itself.
pub async fn serve(bound: Bound, state: SharedState, stop: CancellationToken) -> Result<(), ServerError> {
    let grace = Duration::from_secs(state.config.http.grace_seconds);
    Server::new_with_acceptor(bound.acceptor)
        .run_with_graceful_shutdown(app(state), stop.cancelled_owned(), Some(grace))
        .await
        .map_err(ServerError::Ended)
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
