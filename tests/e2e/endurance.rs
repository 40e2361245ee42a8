//! Long flows over a bad network, and crowds.

use std::collections::HashSet;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;

use crate::harness::raw::{self, CONNACK, Connect, PINGRESP};
use crate::harness::rumqtt::v5::{AsyncClient, Event, Options, Packet, QoS, options};
use crate::harness::{ADMIN, Broker, Process, Proxy, Site, Stream, clients, within_patience};

const RECONNECTS: usize = 20;

// ── 100,000 messages ───────────────────────────────────────────────────────────────────────────

const MESSAGES: usize = 100_000;
/// How far the publisher may be ahead: what waits stays far below the limit of a session's queue.
const AHEAD: usize = 2_000;

/// The options of a session that outlives the cuts, behind `proxy`.
fn through(proxy: &Proxy, broker: &Broker, id: &str) -> Options {
    let mut options = options(broker, id, ADMIN);
    let transport = options.transport();
    options = Options::new(id, "localhost", proxy.port());
    options.set_transport(transport);
    options.set_credentials(ADMIN.0, ADMIN.1).set_clean_start(false);
    options.set_session_expiry_interval(Some(3_600));
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn qos_1_survives_20_cuts_of_the_network_without_loss_and_in_order() {
    let broker = Broker::secure();
    let proxy = Proxy::before(broker.tls_port()).await;
    let (subscribed, mut payloads) = subscribe(through(&proxy, &broker, "subscriber")).await;
    within_patience("SUBACK", subscribed).await.expect("it runs");

    let ahead = Arc::new(Semaphore::new(AHEAD));
    let publisher = publish(through(&proxy, &broker, "publisher"), Arc::clone(&ahead));
    let (mut next, mut cuts) = (0, 0);
    while next < MESSAGES {
        let number = within_patience("the next message", payloads.recv()).await.expect("it runs");
        // QoS 1 may send again what has come; what comes for the first time comes in order.
        assert!(number <= next, "{number} came before {next}");
        if number == next {
            next += 1;
            ahead.add_permits(1);
        }
        if cuts < RECONNECTS && next == (cuts + 1) * MESSAGES / (RECONNECTS + 1) {
            cuts += 1;
            proxy.cut();
        }
    }
    publisher.abort();
    assert_eq!(cuts, RECONNECTS);
    assert!(proxy.severed() >= 2 * RECONNECTS, "{} connections cut", proxy.severed());
}

/// Receives numbers, reconnecting for ever.
async fn subscribe(options: Options) -> (JoinHandle<()>, mpsc::UnboundedReceiver<usize>) {
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("flow", QoS::AtLeastOnce).await.expect("a place in the queue");
    let (sender, payloads) = mpsc::unbounded_channel();
    let (acknowledged, subscribed) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut acknowledged = Some(acknowledged);
        let _client = client;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    acknowledged.take().map(|sender| sender.send(()));
                }
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    let text = std::str::from_utf8(&message.payload).expect("a number");
                    if sender.send(text.parse().expect("a number")).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => {}
            }
        }
    });
    (tokio::spawn(async move { subscribed.await.expect("it runs") }), payloads)
}

/// Publishes the numbers in order, reconnecting for ever.
fn publish(mut options: Options, ahead: Arc<Semaphore>) -> JoinHandle<()> {
    options.set_outgoing_inflight_upper_limit(100);
    let (client, mut events) = AsyncClient::new(options, 10);
    tokio::spawn(async move {
        let feeding = tokio::spawn(async move {
            for number in 0..MESSAGES {
                ahead.acquire().await.expect("open").forget();
                let payload = number.to_string();
                let queued = client.publish("flow", QoS::AtLeastOnce, false, payload).await;
                queued.expect("the event loop runs");
            }
            std::future::pending::<()>().await;
        });
        loop {
            if events.poll().await.is_err() {
                // rumqttc resends by packet identifier, which wraps: the order in which the
                // messages were first sent is restored here.
                events.pending.make_contiguous().sort_by_key(|request| match request {
                    rumqttc::v5::Request::Publish(publish) => {
                        let text = std::str::from_utf8(&publish.payload).expect("a number");
                        text.parse::<usize>().expect("a number")
                    }
                    _ => usize::MAX,
                });
            }
            if feeding.is_finished() {
                return;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn qos_2_survives_20_cuts_of_the_network_without_loss_without_doubles_and_in_order() {
    const MESSAGES: usize = 20_000;
    // This publisher does not wait for its subscriber.
    let broker =
        Broker::secure_with_settings(&format!("\n[broker]\nmax_queued_messages = {MESSAGES}\n"));
    let proxy = Proxy::before(broker.tls_port()).await;
    let mut command = clients::python("paho_qos2.py");
    let step = MESSAGES / (RECONNECTS + 1);
    command.args([MESSAGES, step].map(|number| number.to_string()));
    let mut flow = Process::spawn("paho_qos2.py", &mut command);
    clients::introduce(&mut flow, "mqtts", proxy.port());
    for cut in 1..=RECONNECTS {
        flow.wait_for_text(Stream::Out, &format!("received {}", cut * step));
        proxy.cut();
    }
    flow.wait_for_text(Stream::Out, &format!("complete {MESSAGES}"));
    assert!(flow.wait().success(), "{}", flow.transcript());
    assert!(proxy.severed() >= 2 * RECONNECTS, "{} connections cut", proxy.severed());
}

// ── crowds ─────────────────────────────────────────────────────────────────────────────────────

const IDLE_PLAIN: usize = 10_000;
const IDLE_TLS: usize = 2_000;
const AT_ONCE: usize = 200;
const TAKE_OVERS: usize = 1_000;

/// One file per connection: the soft limit, which the broker inherits, goes as far as it may.
fn raise_open_files(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most >= needed, "the limit of open files is {most}; raise it to {needed} or more");
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("a soft limit below the hard one");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_plain_and_two_thousand_tls_connections_are_held_at_once() {
    raise_open_files((IDLE_PLAIN + IDLE_TLS + 500) as u64);
    let broker = Broker::secure();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let tls = TlsConnector::from(Site::shared().tls());
    let (plain_port, tls_port) = (broker.plain_port(), broker.tls_port());

    let mut arriving = JoinSet::new();
    for number in 0..IDLE_PLAIN + IDLE_TLS {
        let (places, tls) = (Arc::clone(&places), tls.clone());
        arriving.spawn(async move {
            let _place = places.acquire().await.expect("open");
            let name = format!("idle-{number}");
            let stream = match number < IDLE_PLAIN {
                true => Idle::Plain(dial(plain_port).await),
                false => Idle::Tls(Box::new(dial_tls(tls_port, &tls).await)),
            };
            within_patience("CONNACK", stream.connected(&name)).await
        });
    }
    let mut idle = Vec::with_capacity(IDLE_PLAIN + IDLE_TLS);
    while let Some(arrived) = arriving.join_next().await {
        idle.push(arrived.expect("it connects"));
    }
    assert_eq!(idle.len(), IDLE_PLAIN + IDLE_TLS);

    // All are there at this moment: each one answers.
    for stream in &mut idle {
        stream.send(&raw::packet(raw::PINGREQ, &[])).await;
    }
    for stream in &mut idle {
        let answer = within_patience("PINGRESP", stream.receive::<2>()).await;
        assert_eq!(answer, [PINGRESP, 0]);
    }
}

enum Idle {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn dial(port: u16) -> TcpStream {
    within_patience("a connection", TcpStream::connect(("127.0.0.1", port))).await.expect("open")
}

async fn dial_tls(port: u16, tls: &TlsConnector) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let shaken = tls.connect(name, dial(port).await);
    within_patience("a TLS handshake", shaken).await.expect("a TLS handshake")
}

impl Idle {
    async fn connected(mut self, id: &str) -> Self {
        self.send(&Connect::new(4, id).login(ADMIN).encode()).await;
        assert_eq!(self.receive::<4>().await, [CONNACK, 2, 0, 0], "{id}");
        self
    }

    async fn send(&mut self, bytes: &[u8]) {
        let sent = match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => stream.write_all(bytes).await.and(stream.flush().await),
        };
        sent.expect("the connection holds");
    }

    async fn receive<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let received = match self {
            Self::Plain(stream) => stream.read_exact(&mut bytes).await,
            Self::Tls(stream) => stream.read_exact(&mut bytes).await,
        };
        received.expect("the connection holds");
        bytes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_take_overs_of_one_client_id_leave_one_session() {
    let broker = Broker::secure();
    let port = broker.plain_port();
    let connect = Connect { clean: false, ..Connect::new(4, "contested").login(ADMIN) }.encode();

    // All at once: the connections race, and each one that is accepted ends another one.
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut racing = JoinSet::new();
    for _ in 0..TAKE_OVERS {
        let (places, connect) = (Arc::clone(&places), connect.clone());
        racing.spawn(async move {
            let _place = places.acquire().await.expect("open");
            let mut stream = dial(port).await;
            // Who is taken over before it is answered sees the end alone.
            let _ = stream.write_all(&connect).await;
            let mut answer = [0; 4];
            let accepted = within_patience("an answer", stream.read_exact(&mut answer)).await;
            if accepted.is_ok() {
                assert_eq!([answer[0], answer[3]], [CONNACK, 0]);
            }
            stream
        });
    }
    let mut streams = Vec::with_capacity(TAKE_OVERS);
    while let Some(raced) = racing.join_next().await {
        streams.push(raced.expect("it connects"));
    }

    // One of them is left: the others have ended.
    let mut endings = JoinSet::new();
    for mut stream in streams {
        endings.spawn(async move { while stream.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {} });
    }
    for _ in 1..TAKE_OVERS {
        let ended = within_patience("the end of one taken over", endings.join_next()).await;
        ended.expect("one more").expect("it ends");
    }
    assert!(endings.try_join_next().is_none(), "the last one is not held either");

    // And its session is one: a message to it comes once.
    let mut heir = Idle::Plain(dial(port).await);
    heir.send(&connect).await;
    assert_eq!(heir.receive::<4>().await, [CONNACK, 2, 1, 0], "its session is there");
    heir.send(&raw::subscribe(4, 1, "contested", 1)).await;
    assert_eq!(heir.receive::<5>().await, [raw::SUBACK, 3, 0, 1, 1]);
    let mut publisher = Idle::Plain(dial(port).await).connected("publisher").await;
    publisher.send(&raw::publish(4, "contested", b"1")).await;
    publisher.send(&raw::publish(4, "contested", b"2")).await;
    let mut seen = HashSet::new();
    for _ in 0..2 {
        let message = within_patience("a message", heir.receive::<14>()).await;
        assert!(seen.insert(message[13]), "{:?} came twice", char::from(message[13]));
    }
}
