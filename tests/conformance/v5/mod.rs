//! MQTT 5.0, by section.

mod scene;
mod stage;

mod data;
mod fixed_header;
mod packet_identifier;
mod properties;

mod availability;
mod clean_start;
mod client_identifier;
mod connack;
mod connack_limits;
mod connect;
mod connect_actions;
mod connect_properties;
mod credentials;
mod keep_alive;
mod maximum_packet_size;
mod will;
mod will_message;

mod publish_header;
mod publish_properties;
mod publish_actions;
mod acknowledgements;
mod subscribe;
mod unsubscribe;
mod ping;
mod disconnect;
mod redirection;
mod auth;

mod session_state;
mod delivery;
mod ordering;
mod topics;
mod shared;
mod flow_control;
mod errors;
mod websocket;
