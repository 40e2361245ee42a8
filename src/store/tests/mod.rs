//! The store as a whole, on a disk that is not one.

mod backup;
mod cleaning;
mod damage;
mod disk;
mod model;
mod reading;
mod rewriting;
mod transfer;

pub(crate) use self::disk::{SimulatedDisk, next_random};
pub(crate) use self::model::MASTER;
