//! What operators ask and do, among clients that come and go.

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;

use super::driver::{Driver, Visit, broker};
use crate::broker::{Broker, Fate, Kicked, Reported, SessionReport};
use crate::codec::{Packet, ReasonCode};
use crate::identity::ClientId;
use crate::message::QoS;

fn id() -> ClientId {
    ClientId::new("a")
}

/// What `driver`'s connection tells of itself.
fn told_by(broker: &Arc<Broker>, driver: &mut Driver, with_topics: bool) -> Box<SessionReport> {
    let id = id();
    let mut asked = Box::pin(broker.report_session(&id, with_topics));
    assert!(asked.as_mut().now_or_never().is_none(), "only the connection can tell");
    assert!(driver.client.has_orders());
    driver.client.obey(driver.now);
    assert!(!driver.client.has_orders() && !driver.client.is_closed());
    match asked.now_or_never() {
        Some(Reported::Known(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_tells_of_its_session_and_goes_on() {
    let broker = broker();
    let (mut driver, _) = Driver::enter(&broker, Visit::of("a"));
    let report = told_by(&broker, &mut driver, false);
    assert!(report.is_connected && report.topics.is_none());
    assert_eq!((report.subscriptions, report.queued), (0, 0));
    driver.subscribe("news/#", QoS::AtMostOnce);
    let topics = told_by(&broker, &mut driver, true).topics.expect("asked for");
    assert_eq!(topics.filters, ["news/#"]);
}

#[tokio::test]
async fn who_is_not_there_is_looked_up_where_it_waits() {
    let broker = broker();
    assert!(matches!(broker.report_session(&id(), true).await, Reported::Gone));
    let (mut driver, _) = Driver::enter(&broker, Visit::of("a"));
    driver.subscribe("news/#", QoS::AtMostOnce);
    driver.client.on_lost(driver.now);
    let Reported::Known(report) = broker.report_session(&id(), true).await else { panic!("gone") };
    assert!(!report.is_connected);
    assert_eq!(report.topics.expect("asked for").filters, ["news/#"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_answer_is_not_waited_for() {
    let broker = broker();
    let (_driver, _) = Driver::enter(&broker, Visit::of("a"));
    assert!(matches!(broker.report_session(&id(), false).await, Reported::Silent));
}

#[tokio::test]
async fn a_question_does_not_undo_an_order() {
    let broker = broker();
    let (mut driver, _) = Driver::enter(&broker, Visit::of("a"));
    broker.shut_down(Instant::now());
    assert!(matches!(broker.report_session(&id(), false).await, Reported::Silent));
    driver.client.obey(driver.now);
    assert!(driver.client.is_closed());
}

#[tokio::test]
async fn who_is_kicked_is_told_so_and_its_session_waits_or_ends() {
    let broker = broker();
    let (mut driver, _) = Driver::enter(&broker, Visit::of("a"));
    let id = id();
    let mut kick = Box::pin(broker.kick(&id, Fate::Kept));
    assert!(kick.as_mut().now_or_never().is_none());
    driver.client.obey(driver.now);
    let Some(Packet::Disconnect(disconnect)) = driver.heard().pop() else { panic!("no farewell") };
    assert_eq!(disconnect.reason, ReasonCode::AdministrativeAction);
    assert_eq!(kick.await, Kicked::Disconnected);
    let Reported::Known(report) = broker.report_session(&id, false).await else { panic!("gone") };
    assert!(!report.is_connected);
    assert_eq!(broker.kick(&id, Fate::Kept).await, Kicked::Away);
    assert_eq!(broker.kick(&id, Fate::Forgotten).await, Kicked::AwayAndForgotten);
    assert_eq!(broker.kick(&id, Fate::Forgotten).await, Kicked::Unknown);
}

/// A client comes back before its earlier connection has obeyed: whether it finds its session.
fn comes_back_meanwhile(fate: Fate) -> bool {
    let broker = broker();
    let (mut first, _) = Driver::enter(&broker, Visit::of("a"));
    first.subscribe("news/#", QoS::AtMostOnce);
    let id = id();
    let mut kick = Box::pin(broker.kick(&id, fate));
    assert!(kick.as_mut().now_or_never().is_none());
    let mut second = Driver::knock(&broker, Visit::of("a"));
    {
        let mut entering = Box::pin(second.log_in());
        assert!(entering.as_mut().now_or_never().is_none(), "the first still has the session");
        first.client.obey(first.now);
        assert!(kick.as_mut().now_or_never().is_some());
        entering.now_or_never().expect("nobody to wait for");
    }
    assert!(first.client.is_closed() && second.client.is_inside());
    second.welcome()
}

#[test]
fn a_client_that_comes_back_meanwhile_finds_what_is_left_of_its_session() {
    assert!(comes_back_meanwhile(Fate::Kept));
    assert!(!comes_back_meanwhile(Fate::Forgotten));
}
