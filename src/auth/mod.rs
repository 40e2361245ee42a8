//! Who may come in: passwords, what is kept of them, and how they are proven. Pure; hashing takes
//! long, so it is called from threads that nobody waits for.

mod authenticators;
mod credential_cache;
mod hash;
mod installation_key;
mod kept;
mod kept_hash;
mod lockout;
mod memory;
mod mosquitto_hash;
mod origin;
mod password;
mod password_error;
mod scram;
mod scram_message;
mod scram_verifier;
mod settings;
mod strikes;
mod token;
mod user_name;
mod verifier;

pub use authenticators::{Authenticator, Authenticators, AuthenticatorsError};
pub use credential_cache::{BrokenCache, CredentialCache, MAX_CREDENTIAL_CACHE_BYTES};
pub use hash::{
    DEFAULT_HASH_PARAMETERS, HashError, HashFault, HashParameters, MAX_PASSWORD_BYTES,
    ParametersError, hash, hash_in,
};
pub use installation_key::{CredentialMac, INSTALLATION_KEY_BYTES, InstallationKey};
pub use kept::KeptProof;
pub use lockout::{Judgement, Lift, LockedOut, Lockout, LockoutRules};
pub use memory::HashMemory;
pub use origin::{Origin, OriginError};
pub use password::{MAX_PASSWORD_FILE_BYTES, PasswordFile, PasswordProof, Stored};
pub use password_error::{EntryError, LineFault, PasswordFileError};
pub use scram::{SCRAM_SHA_256, ScramExchange, ScramFailure, ScramProven, ScramSeeds};
pub use scram_message::ScramFault;
pub use scram_verifier::{DEFAULT_SCRAM_ITERATIONS, ScramError, ScramVerifier, VerifierFault};
pub use settings::Settings;
pub use token::{
    KeyFingerprint, KeysError, MAX_KEY_FILE_BYTES, MAX_TOKEN_BYTES, Settings as TokenSettings,
    Token, TokenFault, TokenKeys, TokenVerifier, looks_like_token,
};
pub use user_name::{MAX_USER_NAME_BYTES, UserNameError, check_user_name};
pub use verifier::Verifier;
