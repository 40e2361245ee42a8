//! What a session answers, remembers and refuses, packet by packet.

mod aliases;
mod authentication;
mod driver;
mod endings;
mod handshake;
mod hostile;
mod inbound;
mod lifetime;
mod model;
mod offer;
mod outbound;
mod peer;
mod redirection;
mod resume;
mod subscriptions;
