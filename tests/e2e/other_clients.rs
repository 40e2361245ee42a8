//! The same core scenarios with paho-mqtt and MQTT.js, over TLS.

use crate::harness::{Broker, clients};

#[test]
fn paho_mqtt_connects_publishes_subscribes_and_is_kept_to_its_topics() {
    let broker = Broker::secure();
    let script = "paho_scenarios.py";
    clients::run_scenarios(script, clients::python(script), "mqtts", broker.tls_port());
}

#[test]
fn mqtt_js_connects_publishes_subscribes_and_is_kept_to_its_topics() {
    let broker = Broker::secure();
    let script = "mqttjs_scenarios.mjs";
    clients::run_scenarios(script, clients::node(script), "mqtts", broker.tls_port());
}
