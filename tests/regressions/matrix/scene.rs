//! The client whose rights are taken back.

use rustix::process::geteuid;

use super::changes::Change;
use crate::harness::raw::{Connect, RawClient};
use crate::stage::{Proof, SUBJECT, Stage};

/// A stage, and the client on it.
pub(super) struct Scene {
    pub(super) stage: Stage,
    /// By what the policy gives it its role.
    pub(super) holder: String,
    proof: Proof,
    /// What proves after the change that the client is who it was.
    pub(super) renewed: Option<Proof>,
}

impl Scene {
    pub(super) fn set(change: &Change) -> Self {
        let holder = change.holder.replace("${uid}", &geteuid().to_string());
        let stage = Stage::set(&holder);
        let proof = stage.proof(change.kind);
        Self { stage, holder, proof, renewed: None }
    }

    /// The client before the change, as `connect` says.
    pub(super) fn enters(&self, connect: Connect<'_>) -> RawClient {
        self.stage.knock(&self.proof, connect).expect("it is let in").0
    }

    /// As [`Scene::enters`]; its session is kept. Each way has a client identifier of its own.
    pub(super) fn client(&self, way: &str) -> RawClient {
        self.enters(Connect::new(5, &client_id(way)).keep_session(true, 3_600))
    }

    /// The client after the change, if the proof of before is still taken.
    pub(super) fn enters_as_before(&self, connect: Connect<'_>) -> Option<RawClient> {
        Some(self.stage.knock(&self.proof, connect).ok()?.0)
    }

    /// The client after the change: by the proof of before, or by a new one. Goes on with its session.
    pub(super) fn returns(&self, way: &str) -> Option<RawClient> {
        let proofs = [Some(&self.proof), self.renewed.as_ref()];
        proofs.into_iter().flatten().find_map(|proof| {
            let id = client_id(way);
            let connect = Connect::new(5, &id).keep_session(false, 3_600);
            Some(self.stage.knock(proof, connect).ok()?.0)
        })
    }
}

/// The client identifier of the client in a way.
pub(super) fn client_id(way: &str) -> String {
    format!("{SUBJECT}-{way}")
}
