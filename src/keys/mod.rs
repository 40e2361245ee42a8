//! The master key, and files that are sealed under it: what the broker keeps of secrets while it
//! does not run.

mod hexadecimal;
mod master_key;
mod master_key_source;
mod sealed;
mod settings;

pub use master_key::{MasterKey, MasterKeyError};
pub use master_key_source::{CREDENTIAL, MasterKeySource, VARIABLE};
pub use sealed::{OpenError, Purpose, SealError};
pub use settings::Settings;
