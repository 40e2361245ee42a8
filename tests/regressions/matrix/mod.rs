//! r12, the choke-point matrix, with real files that change under the real binary: whatever is taken
//! back, nothing gets to a client or is taken from it any more, by whatever way.
//!
//! A row is a way by which something gets to the client or is taken from it (`ways.rs`), a column what
//! is taken back (`changes.rs`). Each way is begun before the change and tried after it. One column
//! changes nothing: there each way has to work, or the others would prove nothing.
//!
//! `src/broker/tests/matrix` has the same ways for every kind of principal in every version, and with
//! what is counted and answered.

mod changes;
mod scene;
mod ways;

use self::changes::{Change, Then};
use self::scene::{Scene, client_id};
use self::ways::{Evidence, WAYS};
use crate::harness::raw::Connect;

/// Begins every way, makes the change, and goes on with each.
fn nothing_passes_after(change: &Change) {
    let passed = passed_after(change);
    assert!(passed.is_empty(), "after {}, it passed by: {passed:?}", change.name);
}

/// The ways by which something has passed after the change.
fn passed_after(change: &Change) -> Vec<&'static str> {
    let mut scene = Scene::set(change);
    let ways = WAYS.iter().filter(|(name, _)| !change.other_ways.contains(name));
    let begun: Vec<_> = ways.map(|(name, way)| (*name, way(&scene))).collect();
    let mut inside = scene.client("inside");
    (change.make)(&mut scene);
    match change.then {
        Then::Stays => inside.expect_silence(),
        Then::Ends => inside.expect_disconnect(0x87),
    }
    let again = scene.enters_as_before(Connect::new(5, &client_id("again")));
    assert_eq!(again.is_some(), change.then == Then::Stays, "{}", change.name);
    let tried: Vec<_> = begun.into_iter().map(|(name, go_on)| (name, go_on(&scene))).collect();
    // Wills that still wait are published now.
    scene.stage.shut_down();
    let passed = tried.into_iter().filter_map(|(name, evidence)| {
        let has_passed = match evidence {
            Evidence::Found(has_passed) => has_passed,
            Evidence::Awaited(mut witness, topic) => witness.hears_before_its_end(&topic),
        };
        has_passed.then_some(name)
    });
    passed.collect()
}

#[test]
fn r12_every_way_passes_as_long_as_nothing_is_taken_back() {
    let all: Vec<_> = WAYS.iter().map(|(name, _)| *name).collect();
    for change in &changes::NONE {
        assert_eq!(passed_after(change), all, "{}", change.name);
    }
}

#[test]
fn r12_nothing_passes_after_a_role_is_removed() {
    nothing_passes_after(&changes::ROLE_REMOVED);
}

#[test]
fn r12_nothing_passes_after_a_denial_is_added() {
    nothing_passes_after(&changes::DENIAL_ADDED);
}

#[test]
fn r12_nothing_passes_after_a_user_is_deleted() {
    nothing_passes_after(&changes::USER_DELETED);
}

#[test]
fn r12_nothing_passes_after_a_password_is_changed() {
    nothing_passes_after(&changes::PASSWORD_CHANGED);
}

#[test]
fn r12_nothing_passes_after_a_certificate_is_revoked() {
    nothing_passes_after(&changes::CERTIFICATE_REVOKED);
}

#[test]
fn r12_nothing_passes_after_the_authority_of_a_certificate_is_replaced() {
    nothing_passes_after(&changes::AUTHORITY_REPLACED);
}

#[test]
fn r12_nothing_passes_after_the_key_of_a_token_is_taken_back() {
    nothing_passes_after(&changes::TOKEN_KEY_TAKEN_BACK);
}

#[test]
fn r12_nothing_passes_after_a_token_has_expired() {
    nothing_passes_after(&changes::TOKEN_EXPIRED);
}

#[test]
fn r12_nothing_passes_after_a_unix_peer_is_not_allowed_any_more() {
    nothing_passes_after(&changes::UNIX_PEER_NOT_ALLOWED);
}

#[test]
fn r12_nothing_passes_after_the_role_of_a_user_of_the_http_service_is_removed() {
    nothing_passes_after(&changes::HTTP_ROLE_REMOVED);
}

#[test]
fn r12_nothing_passes_after_the_http_service_lets_a_client_in_no_more() {
    nothing_passes_after(&changes::HTTP_REFUSED);
}

#[test]
fn r12_nothing_passes_after_the_http_service_gives_a_client_no_roles() {
    nothing_passes_after(&changes::HTTP_ROLES_CHANGED);
}

#[test]
fn r12_nothing_passes_after_the_http_service_adds_a_denial() {
    nothing_passes_after(&changes::HTTP_DENIAL_ADDED);
}

#[test]
fn r12_nothing_passes_after_a_client_is_banned_by_a_denial() {
    nothing_passes_after(&changes::CLIENT_BANNED);
}

#[test]
fn r12_nothing_passes_after_a_client_is_no_longer_assigned_its_role() {
    nothing_passes_after(&changes::CLIENT_UNASSIGNED);
}
