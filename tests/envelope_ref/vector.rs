//! Test vectors, as `tests/vectors/README.md` explains them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// All of them.
pub(crate) fn all() -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/envelope.json");
    let text = fs::read_to_string(file).unwrap();
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(vectors) = whole["vectors"].take() else { panic!("no list of vectors") };
    vectors
}

/// The steps of a vector, each with all that the vector says of all of them.
pub(crate) fn steps(vector: &Value) -> Vec<Map<String, Value>> {
    let whole = vector.as_object().unwrap();
    let Some(steps) = vector.get("steps") else { return vec![whole.clone()] };
    let steps = steps.as_array().unwrap().iter().map(|step| step.as_object().unwrap().clone());
    steps.map(|step| whole.clone().into_iter().chain(step).collect()).collect()
}

/// Reads hexadecimal, with `5a*1000` for a byte that stands a thousand times.
pub(crate) fn unhexed(text: &str) -> Vec<u8> {
    let part = |part: &str| {
        let (digits, times) = part.split_once('*').unwrap_or((part, "1"));
        let pairs = digits.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| {
            u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).expect("hexadecimal")
        });
        bytes.collect::<Vec<_>>().repeat(times.parse().unwrap())
    };
    text.split_whitespace().flat_map(part).collect()
}

pub(crate) fn hexed(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
