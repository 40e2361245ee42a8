//! The store as a whole, on a disk that is not one.

mod damage;
mod disk;
mod model;

pub(crate) use self::disk::SimulatedDisk;
pub(crate) use self::model::MASTER;
