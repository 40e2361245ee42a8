//! The master key, and files that are sealed under it: what the broker keeps of secrets while it
//! does not run. And the keys of envelopes: their ring, and what is wrapped of it for devices.

mod device_key;
pub(crate) mod hexadecimal;
mod key_document;
mod master_key;
mod master_key_source;
mod ring_file;
mod rotation;
mod sealed;
mod secret_file;
mod settings;
mod wrapped_dir;
mod wrapped_key;
mod wrapping;

pub use device_key::{Recipient, Unsuitable, sender_key_of, signer_of};
pub use key_document::{Extent, IsVerifyOnly, NotAKey, export, import, parse_topics};
pub use master_key::{MasterKey, MasterKeyError};
pub use master_key_source::{CREDENTIAL, MasterKeySource, VARIABLE};
pub use ring_file::{Absent, MAX_RING_BYTES, RingError, RingFile};
pub use rotation::{Resealed, RotationError};
pub use sealed::{OpenError, Purpose, SealError};
pub use secret_file::{SecretFile, SecretFileError};
pub use settings::Settings;
pub use wrapped_dir::{MAX_KEYS_PER_DEVICE, WrappedDirError, deposit, wrapped_keys_for};
pub use wrapped_key::{MAX_WRAPPED_BYTES, NotWrapped, UnwrapError, WrapError, WrappedKey};
pub use wrapping::Algorithm;
