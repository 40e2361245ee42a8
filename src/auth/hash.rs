//! Password hashes: argon2id in PHC strings, with a bound on what checking one may cost.

use std::fmt;
use std::hint::black_box;

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::memory::HashMemory;
use crate::secret::Secret;

/// Bytes of the longest password: what fits in the password field of CONNECT `[MQTT-3.1.3.6]`.
pub const MAX_PASSWORD_BYTES: usize = 65_535;

/// What `bastionmq passwd add` uses unless told otherwise (the recommendation of OWASP): 17 ms and
/// 19 MiB.
pub const DEFAULT_HASH_PARAMETERS: HashParameters =
    HashParameters { memory_kib: 19_456, iterations: 2, parallelism: 1 };

const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 100;
const MAX_PARALLELISM: u32 = 16;
/// Memory times iterations, KiB: about two seconds of one core. Each factor alone may be as large
/// as its own bound; together they would hold a thread for a minute.
const MAX_WORK_KIB: u64 = 4 << 20;
const MIN_MEMORY_KIB_PER_LANE: u32 = 8;

/// What PHC strings of argon2id version 1.3 start with.
const MARK: &str = "$argon2id$v=19$";
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;
/// Output lengths accepted from elsewhere. A line that was cut within the hash has another.
const ACCEPTED_OUTPUT_BYTES: [usize; 2] = [OUTPUT_BYTES, MAX_OUTPUT_BYTES];
const MAX_OUTPUT_BYTES: usize = 64;
/// Mosquitto 2.1 takes 64.
const ACCEPTED_SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// What computing one hash costs. Always within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedParameters")]
pub struct HashParameters {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

impl HashParameters {
    /// Takes memory in KiB (8 for each lane to 1,048,576), passes over it (1 to 100) and lanes
    /// (1 to 16).
    ///
    /// # Errors
    /// When one of them, or memory times passes (4 GiB), is out of bounds.
    pub fn new(
        memory_kib: u32,
        iterations: u32,
        parallelism: u32,
    ) -> Result<Self, ParametersError> {
        if !(1..=MAX_PARALLELISM).contains(&parallelism) {
            return Err(ParametersError::Parallelism);
        }
        if !(1..=MAX_ITERATIONS).contains(&iterations) {
            return Err(ParametersError::Iterations);
        }
        if !(parallelism * MIN_MEMORY_KIB_PER_LANE..=MAX_MEMORY_KIB).contains(&memory_kib) {
            return Err(ParametersError::Memory);
        }
        if u64::from(memory_kib) * u64::from(iterations) > MAX_WORK_KIB {
            return Err(ParametersError::Work);
        }
        Ok(Self { memory_kib, iterations, parallelism })
    }

    /// Memory, in KiB.
    #[must_use]
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub fn iterations(self) -> u32 {
        self.iterations
    }

    /// Lanes. They are computed one after the other, on one thread.
    #[must_use]
    pub fn parallelism(self) -> u32 {
        self.parallelism
    }

    /// Spends what checking a password costs, on nobody's hash: the answer to an unknown user must
    /// not come sooner.
    pub(super) fn spend(self, password: &Secret, memory: &mut HashMemory) {
        let mut output = Zeroizing::new([0; OUTPUT_BYTES]);
        let _ = black_box(self.compute(password, &[0; SALT_BYTES], output.as_mut_slice(), memory));
    }

    fn compute(
        self,
        password: &Secret,
        salt: &[u8],
        output: &mut [u8],
        memory: &mut HashMemory,
    ) -> Result<(), argon2::Error> {
        let argon2id = self.argon2id(output.len())?;
        let blocks = memory.blocks(argon2id.params().block_count());
        let blocks = blocks.ok_or(argon2::Error::OutOfMemory)?;
        argon2id.hash_password_into_with_memory(password.expose(), salt, output, blocks)
    }

    fn argon2id(self, output_bytes: usize) -> Result<Argon2<'static>, argon2::Error> {
        let Self { memory_kib, iterations, parallelism } = self;
        let params = Params::new(memory_kib, iterations, parallelism, Some(output_bytes))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

impl Default for HashParameters {
    fn default() -> Self {
        DEFAULT_HASH_PARAMETERS
    }
}

impl fmt::Display for HashParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={},p={}", self.memory_kib, self.iterations, self.parallelism)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UncheckedParameters {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

impl Default for UncheckedParameters {
    fn default() -> Self {
        let HashParameters { memory_kib, iterations, parallelism } = DEFAULT_HASH_PARAMETERS;
        Self { memory_kib, iterations, parallelism }
    }
}

impl TryFrom<UncheckedParameters> for HashParameters {
    type Error = ParametersError;

    fn try_from(raw: UncheckedParameters) -> Result<Self, ParametersError> {
        Self::new(raw.memory_kib, raw.iterations, raw.parallelism)
    }
}

/// Which parameter of a hash is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParametersError {
    /// Memory.
    #[error("the memory (m) must be between 8 KiB for each lane (p) and 1048576 KiB")]
    Memory,
    /// Iterations.
    #[error("the iterations (t) must be between 1 and 100")]
    Iterations,
    /// Parallelism.
    #[error("the parallelism (p) must be between 1 and 16")]
    Parallelism,
    /// Memory times iterations.
    #[error(
        "memory (m) times iterations (t) must not exceed 4194304 KiB, lest one login takes seconds"
    )]
    Work,
}

/// Why a password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashError {
    /// There is nothing to hash.
    #[error("the password is empty; choose one that is not")]
    Empty,
    /// It would not fit in a CONNECT packet.
    #[error("the password is longer than the 65535 bytes that an MQTT client can send")]
    TooLong,
    /// The memory that the parameters ask for cannot be had.
    #[error("there is not enough memory for the hash; free some, or ask for less (m)")]
    OutOfMemory,
}

/// Why a PHC string is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashFault {
    /// It is no PHC string, or only the beginning of one.
    #[error("the hash is missing, broken or cut off")]
    Broken,
    /// It is of another kind.
    #[error(
        "the hash is of none of the kinds that are accepted: `$argon2id$v=19$`, and `$6$` and `$7$` of \
         Mosquitto"
    )]
    OtherAlgorithm,
    /// The rounds of PBKDF2 would cost too much, or nothing.
    #[error("the iterations of a hash of Mosquitto (`$7$`) must be between 1 and 2000000")]
    Rounds,
    /// Computing it would cost too much, or nothing.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
}

/// Hashes `password` with `salt`, which must be random, into a PHC string.
///
/// # Errors
/// When the password is empty or longer than [`MAX_PASSWORD_BYTES`], or memory is short.
pub fn hash(
    password: &Secret,
    parameters: HashParameters,
    salt: [u8; SALT_BYTES],
) -> Result<String, HashError> {
    hash_in(&mut HashMemory::default(), password, parameters, salt)
}

/// As [`hash`], in memory that there is already.
///
/// # Errors
/// As [`hash`].
pub fn hash_in(
    memory: &mut HashMemory,
    password: &Secret,
    parameters: HashParameters,
    salt: [u8; SALT_BYTES],
) -> Result<String, HashError> {
    match password.expose().len() {
        0 => return Err(HashError::Empty),
        1..=MAX_PASSWORD_BYTES => {}
        _ => return Err(HashError::TooLong),
    }
    let mut output = vec![0; OUTPUT_BYTES];
    // Parameters and lengths are within bounds, so only memory can be lacking.
    parameters.compute(password, &salt, &mut output, memory).map_err(|_| HashError::OutOfMemory)?;
    Ok(PasswordHash { parameters, salt: salt.to_vec(), output }.to_string())
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordHash {
    pub(super) parameters: HashParameters,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl PasswordHash {
    /// Reads a PHC string in its canonical form, the one that [`hash`] writes.
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        let Some(rest) = text.strip_prefix(MARK) else {
            let is_phc = text.starts_with('$') && text.matches('$').count() > 1;
            return Err(if is_phc { HashFault::OtherAlgorithm } else { HashFault::Broken });
        };
        let (parameters, rest) = rest.split_once('$').ok_or(HashFault::Broken)?;
        let (salt, output) = rest.split_once('$').ok_or(HashFault::Broken)?;
        let parameters = read_parameters(parameters)?;
        let salt = Base64Unpadded::decode_vec(salt).map_err(|_| HashFault::Broken)?;
        let output = Base64Unpadded::decode_vec(output).map_err(|_| HashFault::Broken)?;
        let parsed = Self { parameters, salt, output };
        // What writes differently was not understood in full: leading zeros, or an encoding that is
        // not exact.
        let canonical = ACCEPTED_SALT_BYTES.contains(&parsed.salt.len())
            && ACCEPTED_OUTPUT_BYTES.contains(&parsed.output.len())
            && parsed.to_string() == text;
        if canonical { Ok(parsed) } else { Err(HashFault::Broken) }
    }

    /// Whether it is the hash of `password`; takes as long if it is not.
    pub(super) fn matches(&self, password: &Secret, memory: &mut HashMemory) -> bool {
        let mut computed = Zeroizing::new([0; MAX_OUTPUT_BYTES]);
        let Some(computed) = computed.get_mut(..self.output.len()) else { return false };
        self.parameters.compute(password, &self.salt, computed, memory).is_ok()
            && self.output.ct_eq(computed).into()
    }
}

/// Reads `m=19456,t=2,p=1`.
fn read_parameters(text: &str) -> Result<HashParameters, HashFault> {
    let mut parts = text.split(',');
    let mut number = |name: &str| -> Result<u32, HashFault> {
        let number = parts.next().and_then(|part| part.strip_prefix(name)?.strip_prefix('='));
        number.and_then(|number| number.parse().ok()).ok_or(HashFault::Broken)
    };
    let parameters = HashParameters::new(number("m")?, number("t")?, number("p")?)?;
    if parts.next().is_some() { Err(HashFault::Broken) } else { Ok(parameters) }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parameters, salt, output } = self;
        let [salt, output] = [salt, output].map(|bytes| Base64Unpadded::encode_string(bytes));
        write!(f, "{MARK}{parameters}${salt}${output}")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({}, ..)", self.parameters)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cheap() -> HashParameters {
        HashParameters::new(8, 1, 1).unwrap()
    }

    fn cheap_hash(password: &str) -> String {
        hash(&Secret::from(password), cheap(), [7; 16]).unwrap()
    }

    fn is_of(kept: &PasswordHash, password: &Secret) -> bool {
        kept.matches(password, &mut HashMemory::default())
    }

    #[test]
    fn a_hash_matches_its_password_and_no_other() {
        let kept = PasswordHash::parse(&cheap_hash("hunter2")).unwrap();
        assert!(is_of(&kept, &Secret::from("hunter2")));
        for wrong in ["", "hunter", "hunter2 ", "hunter2\0", "Hunter2"] {
            assert!(!is_of(&kept, &Secret::from(wrong)), "{wrong:?}");
        }
    }

    #[test]
    fn a_hash_made_by_the_reference_implementation_is_accepted() {
        // From src/test.c of the reference implementation.
        let kept = PasswordHash::parse(
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        )
        .unwrap();
        assert!(is_of(&kept, &Secret::from("password")));
        assert!(!is_of(&kept, &Secret::from("Password")));
    }

    #[test]
    fn a_hash_of_mosquitto_2_1_is_accepted_as_it_is() {
        // Its salt and hash have 64 bytes each; computed by argon2-cffi.
        let kept = PasswordHash::parse(
            "$argon2id$v=19$m=47104,t=1,p=1$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKiss\
             LS4vMDEyMzQ1Njc4OTo7PD0+Pw$jN8KVtBuy9rOg+xx4HEO7K//Ei2hf4aegEDgCD4okj4rugUys2dVUsAyHcBFDFrG\
             lWl198NIEs4dtHiTXPgqvA",
        )
        .unwrap();
        assert!(is_of(&kept, &Secret::from("secret")));
        assert!(!is_of(&kept, &Secret::from("Secret")));
    }

    #[test]
    fn nul_and_the_longest_password_are_hashed_like_any_other() {
        for password in [vec![0], vec![0, 1], vec![b'x'; MAX_PASSWORD_BYTES]] {
            let password = Secret::new(password);
            let text = hash(&password, cheap(), [7; 16]).unwrap();
            assert!(is_of(&PasswordHash::parse(&text).unwrap(), &password));
        }
        let nul = PasswordHash::parse(&hash(&Secret::from("\0"), cheap(), [7; 16]).unwrap());
        assert!(!is_of(&nul.unwrap(), &Secret::from("\0\0")));
    }

    #[test]
    fn an_empty_or_overlong_password_is_not_hashed() {
        assert_eq!(hash(&Secret::default(), cheap(), [7; 16]), Err(HashError::Empty));
        let overlong = Secret::new(vec![b'x'; MAX_PASSWORD_BYTES + 1]);
        assert_eq!(hash(&overlong, cheap(), [7; 16]), Err(HashError::TooLong));
    }

    #[test]
    fn parameters_that_would_hold_a_thread_are_refused() {
        let refused = |m, t, p| HashParameters::new(m, t, p).unwrap_err();
        assert_eq!(refused((1 << 20) + 1, 1, 1), ParametersError::Memory);
        assert_eq!(refused(u32::MAX, 1, 1), ParametersError::Memory);
        assert_eq!(refused(7, 1, 1), ParametersError::Memory);
        assert_eq!(refused(127, 1, 16), ParametersError::Memory);
        assert_eq!(refused(8, 0, 1), ParametersError::Iterations);
        assert_eq!(refused(8, 101, 1), ParametersError::Iterations);
        assert_eq!(refused(8, 1, 0), ParametersError::Parallelism);
        assert_eq!(refused(u32::MAX, 1, 17), ParametersError::Parallelism);
        assert_eq!(refused(1 << 20, 5, 1), ParametersError::Work);
        assert!(HashParameters::new(1 << 20, 4, 16).is_ok());
    }

    #[test]
    fn parameters_are_checked_wherever_they_are_read() {
        let read = toml::from_str::<HashParameters>;
        assert_eq!(read("").unwrap(), DEFAULT_HASH_PARAMETERS);
        assert_eq!(read("iterations = 3").unwrap().iterations(), 3);
        assert!(read("iterations = 0").is_err());
        assert!(read("memory = 8").is_err());
    }

    #[test]
    fn a_hash_cut_off_anywhere_is_refused() {
        let text = cheap_hash("hunter2");
        for end in 0..text.len() {
            assert!(PasswordHash::parse(&text[..end]).is_err(), "cut after {end} bytes");
        }
    }

    #[test]
    fn other_kinds_of_hash_are_refused() {
        let text = cheap_hash("hunter2");
        let salt_and_output = text.trim_start_matches("$argon2id$v=19$m=8,t=1,p=1");
        let other_kinds = ["$argon2i$v=19", "$argon2d$v=19", "$argon2id$v=16", "$argon2id", "$5"];
        for kind in other_kinds {
            let text = format!("{kind}$m=8,t=1,p=1{salt_and_output}");
            assert_eq!(PasswordHash::parse(&text), Err(HashFault::OtherAlgorithm), "{kind}");
        }
        for parameters in ["m=8,t=1", "m=8,t=1,p=1,t=1", "t=1,m=8,p=1", "m=8,t=1,p=1,keyid=abcd"] {
            let text = format!("$argon2id$v=19${parameters}{salt_and_output}");
            assert_eq!(PasswordHash::parse(&text), Err(HashFault::Broken), "{parameters}");
        }
        for rest in ["", "$", "$$", "$AAAAAAAAAAA", "$AAAAAAAAAAA$", "$AAAAAAAAAAA$AAAAAAAAAAAAAA"]
        {
            let text = format!("$argon2id$v=19$m=8,t=1,p=1{rest}");
            assert_eq!(PasswordHash::parse(&text), Err(HashFault::Broken), "{rest}");
        }
    }

    #[test]
    fn debug_output_shows_no_hash() {
        let text = cheap_hash("hunter2");
        let kept = PasswordHash::parse(&text).unwrap();
        assert_eq!(format!("{kept:?}"), "PasswordHash(m=8,t=1,p=1, ..)");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read_exactly(
            text in "(\\$argon2id)?(\\$v=[0-9]{0,3})?(\\$[mtp]=[0-9]{0,11}(,[a-z]=[0-9a-z]*){0,4})?(\\$[A-Za-z0-9+/]{0,90}){0,3}"
        ) {
            if let Ok(hash) = PasswordHash::parse(&text) {
                prop_assert_eq!(hash.to_string(), text);
            }
        }

        #[test]
        fn one_changed_byte_never_panics(position in 0_usize..100, byte in any::<char>()) {
            let text = cheap_hash("hunter2");
            let mut changed: Vec<char> = text.chars().collect();
            let length = changed.len();
            changed[position % length] = byte;
            let changed: String = changed.into_iter().collect();
            if let Ok(hash) = PasswordHash::parse(&changed) {
                prop_assert_eq!(hash.to_string(), changed);
            }
        }
    }
}
