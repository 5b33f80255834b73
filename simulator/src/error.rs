//! Why a simulator could not be started. One enum; each text names the setting, the file or the address.
//!
//! What goes wrong later is none of these: a bad request gets an answer, a bad fault rule a
//! `FaultRuleError`. Made by `config` and `server`; shown by the commands that start a simulator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::logs::LogDeliveryError;

/// Why a simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The configuration is wrong.
    #[error("the simulator's configuration: {0}")]
    Config(String),
    /// The configuration file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", reason(source))]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The access logs cannot be delivered into their folder.
    #[error("log_folder: {0}")]
    Logs(#[from] LogDeliveryError),
    /// The delivery of the access logs did not come to its end.
    #[error("the delivery of access logs ended badly: {0}")]
    Delivery(#[from] tokio::task::JoinError),
}

fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse { "address already in use".to_owned() } else { error.to_string() }
}
