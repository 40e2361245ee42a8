//! Sockets that speak MQTT.

mod accept_rate;
mod budgets;
mod connection;
mod endpoint;
mod entrance;
mod floodgate;
mod list;
mod listen_url;
mod listener;
mod listener_settings;
mod listeners;
mod newcomer;
mod occupancy;
mod pace;
mod proxied;
pub mod proxy_protocol;
mod proxy_settings;
mod scratch;
mod settings;
mod shared;
mod stop;
mod syn_filter;
mod terms;
mod transport;
mod waiting_room;
pub mod websocket;
mod websocket_settings;
mod welcome;

pub use endpoint::Endpoint;
pub use entrance::Entrance;
pub use list::List;
pub use listen_url::{BindAddress, ListenUrl, ListenUrlError, Scheme};
pub use listener::{BindError, ListenError, Listener, explain};
pub use listener_settings::{ListenerSettings, PlaintextConsent};
pub use listeners::{Listeners, Rearrangement};
pub use proxy_settings::{Networks, ProxySettings};
pub use settings::Settings;
pub use shared::Shared;
pub use websocket_settings::{
    WebSocketOrigins, WebSocketPath, WebSocketSettings, WebSocketSettingsError,
};
