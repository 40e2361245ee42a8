//! Sockets that speak MQTT.

mod accept_rate;
mod budgets;
mod connection;
mod list;
mod listen_url;
mod listener;
mod listener_settings;
mod pace;
mod proxied;
pub mod proxy_protocol;
mod proxy_settings;
mod scratch;
mod settings;
mod stop;
mod transport;
pub mod websocket;
mod websocket_settings;
mod welcome;

pub use list::List;
pub use listen_url::{BindAddress, ListenUrl, ListenUrlError, Scheme};
pub use listener::{BindError, Endpoint, Listener, Shared};
pub use listener_settings::{ListenerSettings, PlaintextConsent};
pub use proxy_settings::{NetworkError, Networks, ProxySettings};
pub use settings::Settings;
pub use websocket_settings::{
    WebSocketOrigins, WebSocketPath, WebSocketSettings, WebSocketSettingsError,
};
