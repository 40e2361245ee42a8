//! The store as a whole, on a disk that is not one.

mod damage;
mod disk;
mod model;
