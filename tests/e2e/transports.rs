//! Other people's clients over every transport that they speak:
//!
//! | client            | versions        | mqtt | mqtts               | ws        | wss       |
//! | ----------------- | --------------- | ---- | ------------------- | --------- | --------- |
//! | paho-mqtt         | 3.1, 3.1.1, 5.0 | here | here                | here      | here      |
//! | aiomqtt           | 3.1, 3.1.1, 5.0 | here | here                | here      | here      |
//! | MQTT.js           | 3.1, 3.1.1, 5.0 | here | here                | here      | here      |
//! | MQTT.js in a page | 3.1, 3.1.1, 5.0 | no   | no                  | `browser` | `browser` |
//! | mosquitto         | 3.1, 3.1.1, 5.0 | here | `mosquitto_matrix`  | no        | no        |
//! | rumqttc           | 3.1.1, 5.0      | here | `rumqttc_v4`, `_v5` | no        | no        |
//!
//! A page has no sockets; the mosquitto clients that Debian 12 has, 2.0.11, have no WebSocket.
//! rumqttc has it as an option that brings a second library of WebSocket into the lock file, which these
//! tests do without.
//!
//! Each cell connects with a password, subscribes, sends and receives all three QoS, a retained message
//! and a will, and is refused with the reason that the standard names. What mosquitto and rumqttc do
//! over TLS in the modules named, they do over plain TCP here only as far as the three QoS.

use crate::harness::rumqtt::{v4, v5};
use crate::harness::{ADMIN, Broker, Process, Stream, clients};

macro_rules! scenarios {
    ($client:ident: $program:ident $script:literal over $($scheme:ident)*) => {
        mod $client {
            use super::*;
            $(
                #[test]
                fn $scheme() {
                    let broker = Broker::secure_websocket();
                    let scheme = stringify!($scheme);
                    let port = broker.port(scheme);
                    clients::run_scenarios($script, clients::$program($script), scheme, port);
                }
            )*
        }
    };
}

scenarios!(paho_mqtt_works_over: python "paho_scenarios.py" over mqtt mqtts ws wss);
scenarios!(aiomqtt_works_over: python "aiomqtt_scenarios.py" over mqtt mqtts ws wss);
scenarios!(mqtt_js_works_over: node "mqttjs_scenarios.mjs" over mqtt mqtts ws wss);

#[test]
fn mosquitto_works_over_plain_tcp_in_every_version() {
    let broker = Broker::secure();
    let tool = |program: &str, version: &str| {
        let mut command = clients::mosquitto(program);
        command.args(["-h", "localhost", "-p", &broker.plain_port().to_string(), "-V", version]);
        command.args(["-u", ADMIN.0, "-P", ADMIN.1]);
        command
    };
    for version in ["31", "311", "5"] {
        let mut subscriber = tool("mosquitto_sub", version);
        subscriber.args(["-d", "-q", "2", "-t", "plain/#", "-F", "%t|%q|%p"]);
        let subscriber = Process::spawn("mosquitto_sub", &mut subscriber);
        subscriber.wait_for_text(Stream::Out, "received SUBACK");
        for qos in ["0", "1", "2"] {
            let mut publisher = tool("mosquitto_pub", version);
            publisher.args(["-q", qos, "-t", &format!("plain/{version}"), "-m", "message"]);
            assert!(Process::spawn("mosquitto_pub", &mut publisher).wait().success());
            subscriber.wait_for_text(Stream::Out, &format!("plain/{version}|{qos}|message"));
        }
    }
}

macro_rules! rumqttc_over_plain_tcp {
    ($test:ident, $version:ident) => {
        #[tokio::test]
        async fn $test() {
            use $version::{Client, Options, QoS};
            let broker = Broker::secure();
            let mut options = Options::new("plain", "localhost", broker.plain_port());
            options.set_credentials(ADMIN.0, ADMIN.1);
            let mut client = Client::connect(options).await;
            client.subscribe("plain", QoS::ExactlyOnce).await;
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                client.publish("plain", qos, "message").await;
                let message = client.message().await;
                assert_eq!((message.qos, &message.payload[..]), (qos, &b"message"[..]));
            }
            client.disconnect().await;
        }
    };
}

rumqttc_over_plain_tcp!(rumqttc_v4_works_over_plain_tcp, v4);
rumqttc_over_plain_tcp!(rumqttc_v5_works_over_plain_tcp, v5);
