//! How a client is let in, and how it proves anew who it is once inside.

use super::{Challenged, Client, Inside, Stage};
use crate::auth::{ScramExchange, ScramProven};
use crate::broker::exchange::{Outcome, Proof};
use crate::broker::lockouts::Attempt;
use crate::broker::login::{Admitted, Caller, Door, Patience, refusal_of};
use crate::broker::session_keeping::Arrival;
use crate::broker::sessions::{Claimed, narrowed};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::identity::Principal;
use crate::secret::Secret;
use crate::sentinel;
use crate::session::{ConnectRequest, Identified, Input, Refusal};
use crate::telemetry::LoginMethod;

impl Client {
    /// A CONNECT has come: a client that names a method is asked for its proof first.
    pub(super) fn identify(&mut self, now: Now, request: Box<ConnectRequest>) {
        let Some(authentication) = &request.authentication else {
            let proof = Proof::Credentials;
            self.stage = Stage::AtTheDoor(Box::new(Caller { request, proof }));
            return;
        };
        let (method, data) = (&authentication.method, authentication.data.as_ref());
        match self.broker.begin_exchange(&self.authenticators, &request, method, data) {
            Ok((exchange, data)) => {
                self.stage = Stage::Challenged(Box::new(Challenged { request, exchange }));
                self.session.step(now, Input::Challenge { data }, &mut self.output);
            }
            Err(refusal) => {
                let proof = Proof::Exchange(Outcome::refused(refusal));
                self.stage = Stage::AtTheDoor(Box::new(Caller { request, proof }));
            }
        }
    }

    /// The client has answered a challenge. Nothing more is asked.
    pub(super) fn authenticate(&mut self, now: Now, data: Option<&Secret>) {
        match std::mem::replace(&mut self.stage, Stage::Outside) {
            Stage::Challenged(challenged) => {
                let Challenged { request, exchange } = *challenged;
                let proof = Proof::Exchange(Outcome::of(exchange, data));
                self.stage = Stage::AtTheDoor(Box::new(Caller { request, proof }));
            }
            Stage::Inside(mut inside) => {
                let exchange = inside.exchange.take();
                self.stage = Stage::Inside(inside);
                if let Some(exchange) = exchange {
                    self.on_proven_anew(now, *exchange, data);
                }
            }
            other => self.stage = other,
        }
    }

    /// A client that is inside begins to prove anew who it is. It may go on meanwhile: what it may do
    /// has not changed.
    pub(super) fn reauthenticate(&mut self, now: Now, data: Option<&Secret>) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        match self.broker.begin_scram(data) {
            Ok((exchange, data)) => {
                inside.exchange = Some(Box::new(exchange));
                self.session.step(now, Input::Challenge { data }, &mut self.output);
            }
            Err(refusal) => self.on_not_proven(now, &refusal),
        }
    }

    fn on_proven_anew(&mut self, now: Now, exchange: ScramExchange, data: Option<&Secret>) {
        let Stage::Inside(inside) = &self.stage else { return };
        let who = inside.gate.who();
        let Outcome { user: claimed, result } = Outcome::of(exchange, data);
        match result {
            Ok(ScramProven { user, server_final, .. })
                if who.principal == Principal::User(user.clone()) =>
            {
                tracing::info!(
                    principal = %who.principal,
                    client_id = who.client_id.as_str(),
                    "authenticated again"
                );
                self.broker.counts.login(LoginMethod::Scram, ReasonCode::Success);
                let authenticated = Input::Authenticated { data: server_final };
                self.session.step(now, authenticated, &mut self.output);
            }
            Ok(_) => {
                let text = "a connection stays with its user";
                self.on_not_proven(now, &Refusal::new(ReasonCode::NotAuthorized, text));
            }
            Err(refusal) => {
                if refusal.reason == ReasonCode::BadUserNameOrPassword {
                    self.broker.lockouts.failed(&Attempt::new(claimed, &self.peer));
                }
                self.on_not_proven(now, &refusal);
            }
        }
    }

    /// A connection whose client cannot prove anew who it is ends `[MQTT-4.12.1-2]`.
    fn on_not_proven(&mut self, now: Now, refusal: &Refusal) {
        let Stage::Inside(inside) = &self.stage else { return };
        let who = inside.gate.who();
        tracing::warn!(
            principal = %who.principal,
            client_id = who.client_id.as_str(),
            address = %self.peer.address,
            listener = %self.peer.listener,
            reason = ?refusal.reason,
            "re-authentication refused: {}",
            refusal.text
        );
        self.broker.counts.login(LoginMethod::Scram, refusal.reason);
        self.broker.counts.observe(|| sentinel::Event {
            principal: Some(who.principal.clone()),
            client: Some(who.client_id.clone()),
            ..refusal_of(&self.peer, refusal.reason)
        });
        self.session.step(now, Input::End(ReasonCode::NotAuthorized), &mut self.output);
    }

    /// Finds out who the client is, and answers its CONNECT; `clock` says when that is. Must be run
    /// to its end, which comes soon once `patience` has ended.
    pub async fn log_in(
        &mut self,
        patience: Patience<impl Future<Output = ()>>,
        clock: impl FnOnce() -> Now,
    ) {
        let Stage::AtTheDoor(caller) = std::mem::replace(&mut self.stage, Stage::Stranger) else {
            return;
        };
        self.trace_caller(&caller);
        let door = Door { peer: &self.peer, authenticators: &self.authenticators };
        let trace = self.traces.as_mut().and_then(|traces| traces.connect());
        let outcome = self.broker.log_in(*caller, door, &self.seat, patience, trace).await;
        let reason = outcome.as_ref().err().map_or(ReasonCode::Success, |refusal| refusal.reason);
        let now = clock();
        self.on_login(now, outcome);
        self.trace_connack(now, reason);
        self.finish_round();
    }

    fn on_login(&mut self, now: Now, outcome: Result<Admitted, Refusal>) {
        match outcome {
            Ok(admitted) => self.let_in(now, admitted),
            Err(refusal) => self.step(now, Input::Refused(refusal)),
        }
    }

    fn let_in(&mut self, now: Now, admitted: Admitted) {
        let Admitted { gate, claimed, lease, .. } = admitted;
        let Claimed { session, resumed, discarded } = claimed;
        let (start, is_new) = (self.output.bytes.len(), resumed.is_none());
        if let Some(discarded) = discarded {
            self.broker.end(*discarded, now.instant);
        }
        let identified = Identified {
            client_id: gate.who().client_id.clone(),
            assigned: admitted.is_client_id_assigned,
            key: session.key,
            is_durable: session.mailbox.is_durable(),
            resumed,
            authentication_data: admitted.authentication_data,
            settings: narrowed(self.session.settings(), gate.limits()),
        };
        let reviewed = gate.generation();
        let throttled = self.broker.limits_of(&gate);
        self.stage = Stage::Inside(Box::new(Inside {
            gate,
            since: now.instant,
            lease,
            throttled,
            exchange: None,
            memo: None,
            stored: session,
            batch: Vec::new(),
            reviewed,
            review: None,
        }));
        self.broker.counts.connected();
        self.step(now, Input::Identified(Box::new(identified)));
        self.keep_session(is_new);
        self.round.hold_from(start);
    }

    /// Keeps whose session it is now, how long it lives and what its will is.
    pub(super) fn keep_session(&mut self, is_new: bool) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        let Inside { gate, stored, .. } = &mut **inside;
        let (Some(expiry), will) = (self.session.expiry(), self.session.will()) else { return };
        let arrival = Arrival { who: gate.who(), expiry, will, is_new };
        self.broker.keep_arrival(stored, arrival, &mut self.round);
    }
}
