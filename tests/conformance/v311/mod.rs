//! MQTT 3.1.1, by section.

mod scene;

mod format;
mod connect;
mod credentials;
mod identifier;
mod will;
mod session;
mod connack;
mod publish;
mod retain;
mod subscribe;
mod suback;
mod unsubscribe;
mod ping;
mod disconnect;
mod delivery;
mod order;
mod topic;
mod errors;
mod websocket;
mod targets;
