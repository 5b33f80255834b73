//! Starting and stopping: two listeners, each served by a task in the background, and the task that delivers logs.
//!
//! Both addresses are bound and the last days' logs are there when `start` returns, so a client may begin at once; if
//! one cannot be had, nothing is left running. A simulator ends with its handle: `stop` waits until the addresses are
//! free, dropping does not wait. One address has the control endpoints, the APIs of Tencent Cloud CDN and EdgeOne (see
//! `TencentApi::takes`), and for all other requests that of Level 3.
//! Called by `overseas up`, `overseas simulate` and tests.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Request, Response, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::control::{self, Control};
use crate::edge::Edge;
use crate::error::SimulatorError;
use crate::level3::Level3;
use crate::logs::{deliver_at_start, deliver_each_day};
use crate::stage::Stage;
use crate::tencent_api::{LOG_PREFIX, TencentApi};

/// How long requests in progress may take to end after a stop.
const GRACE: Duration = Duration::from_secs(1);

/// A running simulator. Dropping it stops it too, without waiting.
pub struct Simulator {
    vendor_address: SocketAddr,
    edge_address: SocketAddr,
    control: Control,
    stop: DropGuard,
    tasks: [JoinHandle<()>; 3],
}

impl Simulator {
    /// The base URL of the vendor's API, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn vendor_url(&self) -> String {
        format!("http://{}", self.vendor_address)
    }

    /// Where to connect to the edge server.
    #[must_use]
    pub fn edge_address(&self) -> SocketAddr {
        self.edge_address
    }

    /// The handle to faults, record and clock.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Takes no new requests, gives those in progress a second, and returns when both addresses are free.
    pub async fn stop(self) {
        drop(self.stop);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a task of the simulator ended badly");
            }
        }
    }
}

/// Starts a simulator that tells the time by the system's clock.
///
/// ```no_run
/// # async fn example() -> Result<(), overseas_simulator::SimulatorError> {
/// let simulator = overseas_simulator::start(overseas_simulator::Config::demo().on_free_ports()).await?;
/// println!("{}", simulator.vendor_url());
/// simulator.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A configuration that contradicts itself, an address that cannot be listened on, or a folder of logs that cannot be
/// written.
pub async fn start(config: Config) -> Result<Simulator, SimulatorError> {
    start_with_clock(config, Arc::new(SystemClock)).await
}

/// Starts a simulator that tells the time by the given clock, which also judges the dates of signatures.
///
/// # Errors
/// As [`start`].
pub async fn start_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Simulator, SimulatorError> {
    config.validate()?;
    let vendor = listen(config.listen).await?;
    let edge = listen(config.edge_listen).await?;
    let stage = Arc::new(Stage::new(clock, &config));
    let config = Arc::new(config);
    // Read once, so that a midnight between the start's days and the task's is in one of them.
    let today = stage.clock.now().date_naive();
    let (delivering, settings) = (Arc::clone(&stage), Arc::clone(&config));
    spawn_blocking(move || deliver_at_start(&delivering, &settings, today)).await??;
    let control = Control::new(Arc::clone(&stage), Arc::clone(&config));
    let front = Front {
        control: control.clone(),
        level3: Level3::new(&config, Arc::clone(&stage)),
        tencent: TencentApi::new(&config, Arc::clone(&stage)),
    };
    let stop = CancellationToken::new();
    let (vendor_address, edge_address) = (vendor.1, edge.1);
    tracing::info!(vendor = %vendor_address, edge = %edge_address, "simulator listening");
    Ok(Simulator {
        vendor_address: reachable(vendor_address),
        edge_address: reachable(edge_address),
        control,
        tasks: [
            tokio::spawn(run(vendor.0, front, stop.clone())),
            tokio::spawn(run(edge.0, Edge::new(&config, Arc::clone(&stage)), stop.clone())),
            tokio::spawn(deliver_each_day(stage, today, stop.clone())),
        ],
        stop: stop.drop_guard(),
    })
}

/// Runs a simulator until `shutdown` is ready.
///
/// # Errors
/// As [`start`].
pub async fn serve(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), SimulatorError> {
    let simulator = start(config).await?;
    shutdown.await;
    simulator.stop().await;
    Ok(())
}

/// The vendors' APIs with the control endpoints beside them.
struct Front {
    control: Control,
    level3: Level3,
    tencent: TencentApi,
}

impl Endpoint for Front {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.original_uri().path();
        Ok(if path.starts_with(control::PREFIX) {
            control::answer(&self.control, request).await
        } else if path.starts_with(LOG_PREFIX) {
            self.tencent.download(request).await
        } else if TencentApi::takes(&request) {
            self.tencent.answer(request).await
        } else {
            self.level3.answer(request).await
        })
    }
}

/// Sends what it has at once: otherwise a body in several pieces waits for the client's delayed acknowledgement, 40 ms.
struct PromptAcceptor(TcpAcceptor);

impl Acceptor for PromptAcceptor {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        let accepted = self.0.accept().await?;
        accepted.0.set_nodelay(true)?;
        Ok(accepted)
    }
}

async fn listen(address: SocketAddr) -> Result<(PromptAcceptor, SocketAddr), SimulatorError> {
    let failed = |source| SimulatorError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(failed)?;
    Ok((PromptAcceptor(acceptor), bound))
}

async fn run(acceptor: PromptAcceptor, endpoint: impl Endpoint + 'static, stop: CancellationToken) {
    let served = Server::new_with_acceptor(acceptor)
        .name("simulator")
        .run_with_graceful_shutdown(endpoint, stop.cancelled_owned(), Some(GRACE))
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "a server of the simulator failed");
    }
}

/// An address that one can connect to, for one that listens on all.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}
