//! rumqttc, 3.1.1 and 5.0, with its events as a queue that a scenario reads.

use std::collections::VecDeque;

use rumqttc::{TlsConfiguration, Transport};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::{Broker, Login, Site, within_patience};

/// Both versions of rumqttc have the same shape, and not one type in common.
macro_rules! client {
    ($module:ident, $options:path, { $($import:item)* }) => {
        pub(crate) mod $module {
            use super::*;
            $($import)*
            pub(crate) use $options as Options;

            /// A connection that ends with the first error: nothing reconnects by itself.
            pub(crate) struct Client {
                pub(crate) mqtt: AsyncClient,
                /// What the broker said to CONNECT.
                pub(crate) connack: ConnAck,
                incoming: UnboundedReceiver<Result<Packet, ConnectionError>>,
                messages: VecDeque<Publish>,
                polling: JoinHandle<()>,
            }

            /// Options for a TLS connection to `broker`.
            pub(crate) fn options(broker: &Broker, id: &str, login: Login) -> Options {
                let mut options = Options::new(id, "localhost", broker.tls_port());
                options.set_transport(over_tls(Site::shared().tls()));
                options.set_credentials(login.0, login.1);
                options
            }

            impl Client {
                /// Connects with `options`; fails where the broker refuses.
                pub(crate) async fn connect(options: Options) -> Self {
                    Self::try_connect(options).await.expect("the broker accepts")
                }

                /// Connects with `options`.
                pub(crate) async fn try_connect(options: Options) -> Result<Self, ConnectionError> {
                    let (mqtt, mut events) = AsyncClient::new(options, 1_000);
                    let (outgoing, mut incoming) = unbounded_channel();
                    let polling = tokio::spawn(async move {
                        loop {
                            let packet = match events.poll().await {
                                Ok(Event::Incoming(packet)) => Ok(packet),
                                Ok(Event::Outgoing(_)) => continue,
                                Err(error) => Err(error),
                            };
                            let ended = packet.is_err();
                            if outgoing.send(packet).is_err() || ended {
                                return;
                            }
                        }
                    });
                    let first = within_patience("CONNACK", incoming.recv()).await;
                    match first.expect("an event") {
                        Ok(Packet::ConnAck(connack)) => {
                            let messages = VecDeque::new();
                            Ok(Self { mqtt, connack, incoming, messages, polling })
                        }
                        Ok(other) => panic!("{other:?} instead of CONNACK"),
                        Err(error) => Err(error),
                    }
                }

                /// The next packet or error, whatever it is.
                pub(crate) async fn event(&mut self) -> Result<Packet, ConnectionError> {
                    within_patience("a packet", self.incoming.recv()).await.expect("an event")
                }

                /// The next packet that `pick` has an answer for. Messages that come before it are
                /// kept for [`Client::message`].
                pub(crate) async fn wait_for<T>(
                    &mut self,
                    pick: impl Fn(&Packet) -> Option<T>,
                ) -> T {
                    loop {
                        let packet = self.event().await.expect("the connection holds");
                        if let Some(found) = pick(&packet) {
                            return found;
                        }
                        if let Packet::Publish(message) = packet {
                            self.messages.push_back(message);
                        }
                    }
                }

                /// The next message.
                pub(crate) async fn message(&mut self) -> Publish {
                    if let Some(message) = self.messages.pop_front() {
                        return message;
                    }
                    self.wait_for(|packet| match packet {
                        Packet::Publish(message) => Some(message.clone()),
                        _ => None,
                    })
                    .await
                }

                /// The payload of the next message.
                pub(crate) async fn payload(&mut self) -> String {
                    let message = self.message().await;
                    String::from_utf8(message.payload.to_vec()).expect("a text")
                }

                /// Subscribes, and waits for the answer.
                pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) -> SubAck {
                    self.mqtt.subscribe(filter, qos).await.expect("the client runs");
                    self.suback().await
                }

                /// The next SUBACK.
                pub(crate) async fn suback(&mut self) -> SubAck {
                    self.wait_for(|packet| match packet {
                        Packet::SubAck(suback) => Some(suback.clone()),
                        _ => None,
                    })
                    .await
                }

                /// Publishes; does not wait for an acknowledgement.
                pub(crate) async fn publish(&self, topic: &str, qos: QoS, payload: &str) {
                    let payload = payload.as_bytes().to_vec();
                    self.mqtt.publish(topic, qos, false, payload).await.expect("the client runs");
                }

                /// Publishes with QoS 1 or 2, and waits until the broker has taken it over.
                pub(crate) async fn hand_over(&mut self, topic: &str, qos: QoS, payload: &str) {
                    self.publish(topic, qos, payload).await;
                    self.taken_over().await;
                }

                /// Publishes a retained message, and waits until the broker has taken it over.
                pub(crate) async fn retain(&mut self, topic: &str, payload: &str) {
                    let payload = payload.as_bytes().to_vec();
                    let published = self.mqtt.publish(topic, QoS::AtLeastOnce, true, payload);
                    published.await.expect("the client runs");
                    self.taken_over().await;
                }

                /// Waits for the last acknowledgement of a message.
                pub(crate) async fn taken_over(&mut self) {
                    self.wait_for(|packet| {
                        matches!(packet, Packet::PubAck(_) | Packet::PubComp(_)).then_some(())
                    })
                    .await;
                }

                /// The error that ends the connection.
                pub(crate) async fn end(&mut self) -> ConnectionError {
                    loop {
                        if let Err(error) = self.event().await {
                            return error;
                        }
                    }
                }

                /// Says DISCONNECT, and waits for the end.
                pub(crate) async fn disconnect(mut self) {
                    self.mqtt.disconnect().await.expect("the client runs");
                    self.end().await;
                }

                /// Ends the connection without a word.
                pub(crate) async fn sever(self) {
                    self.polling.abort();
                    let _ = self.polling.await;
                }
            }
        }
    };
}

client!(v4, rumqttc::MqttOptions, {
    pub(crate) use rumqttc::{
        AsyncClient, ConnAck, ConnectReturnCode, ConnectionError, Event, LastWill, Packet, Publish,
        QoS, SubAck, SubscribeReasonCode,
    };
});

client!(v5, rumqttc::v5::MqttOptions, {
    pub(crate) use rumqttc::v5::mqttbytes::QoS;
    pub(crate) use rumqttc::v5::mqttbytes::v5::{
        ConnAck, ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, LastWillProperties,
        Packet, PubAckReason, Publish, PublishProperties, RetainForwardRule, SubAck,
        SubscribeProperties, SubscribeReasonCode,
    };
    pub(crate) use rumqttc::v5::{AsyncClient, ConnectionError, Event, StateError};
});

/// TLS for rumqttc.
pub(crate) fn over_tls(config: std::sync::Arc<rustls::ClientConfig>) -> Transport {
    Transport::tls_with_config(TlsConfiguration::Rustls(config))
}
