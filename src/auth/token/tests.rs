//! Tokens as an issuer makes them, and as somebody would who is not one.

use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::keys::KeysError;
use super::*;
use crate::identity::AttributeSource;

const NOW: Duration = Duration::from_secs(1_800_000_000);

/// One of each, and one more of P-256 that nobody trusts.
struct Issuer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    stranger: EcdsaKeyPair,
}

fn issuer() -> &'static Issuer {
    static ISSUER: OnceLock<Issuer> = OnceLock::new();
    let p256 = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    ISSUER.get_or_init(|| Issuer {
        rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        p256: p256(),
        ed25519: Ed25519KeyPair::generate().unwrap(),
        stranger: p256(),
    })
}

impl Issuer {
    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            _ => self.ed25519.sign(message).as_ref().to_vec(),
        }
    }

    fn spki(&self, algorithm: &str) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match algorithm {
            "RS256" => self.rsa.public_key().as_der().unwrap(),
            "ES256" => self.p256.public_key().as_der().unwrap(),
            _ => self.ed25519.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }

    fn pem(&self, algorithm: &str) -> String {
        let text = Base64::encode_string(&self.spki(algorithm));
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    fn jwk(&self, algorithm: &str, kid: &str) -> Value {
        let text = Base64UrlUnpadded::encode_string;
        match algorithm {
            "RS256" => {
                let der = self.spki(algorithm);
                let (_, info) = SubjectPublicKeyInfo::from_der(&der).unwrap();
                let PublicKey::RSA(key) = info.parsed().unwrap() else { panic!() };
                let n = without_sign(key.modulus);
                json!({"kty": "RSA", "kid": kid, "n": text(n), "e": text(key.exponent)})
            }
            "ES256" => {
                let point = self.p256.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y, "use": "sig"})
            }
            _ => {
                let x = text(self.ed25519.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "alg": "EdDSA"})
            }
        }
    }

    fn jwks(&self) -> TokenKeys {
        let keys = [self.jwk("RS256", "r"), self.jwk("ES256", "e"), self.jwk("EdDSA", "d")];
        TokenKeys::parse(&json!({ "keys": keys }).to_string()).unwrap()
    }

    /// As the header says, over any header and claims.
    fn token(&self, header: &str, claims: &str) -> String {
        let algorithm: Value = serde_json::from_str(header).unwrap_or_default();
        let algorithm = algorithm["alg"].as_str().unwrap_or("ES256");
        let signed = signed(header, claims);
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
    }
}

fn without_sign(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

fn signed(header: &str, claims: &str) -> String {
    let text = |part: &str| Base64UrlUnpadded::encode_string(part.as_bytes());
    format!("{}.{}", text(header), text(claims))
}

const HEADER: &str = r#"{"alg":"ES256","kid":"e"}"#;

fn claims() -> Value {
    json!({"sub": "ann", "iss": "here", "aud": "broker", "exp": NOW.as_secs() + 60})
}

fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    claims.to_string()
}

fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims.to_string()
}

fn settings() -> Settings {
    Settings {
        issuer: Some("here".to_owned()),
        audience: Some("broker".to_owned()),
        ..Settings::default()
    }
}

fn verify(token: &str) -> Result<Token, TokenFault> {
    verify_as(settings(), token)
}

fn verify_as(settings: Settings, token: &str) -> Result<Token, TokenFault> {
    TokenVerifier::new(issuer().jwks(), settings).verify(token.as_bytes(), NOW)
}

fn fault_of(header: &str, claims: &str) -> Option<TokenFault> {
    verify(&issuer().token(header, claims)).err()
}

#[test]
fn a_token_of_each_algorithm_is_believed() {
    for (algorithm, kid) in [("RS256", "r"), ("ES256", "e"), ("EdDSA", "d")] {
        let header = json!({"alg": algorithm, "kid": kid, "typ": "JWT"}).to_string();
        let token = issuer().token(&header, &claims().to_string());
        assert!(looks_like_token(token.as_bytes()), "{token}");
        let believed = verify(&token).expect(algorithm);
        assert_eq!(&*believed.subject, "ann");
        assert_eq!(believed.ends, NOW + Duration::from_secs(90));
        let of_pem = TokenKeys::parse(&issuer().pem(algorithm)).expect(algorithm);
        let verifier = TokenVerifier::new(of_pem, settings());
        assert_eq!(verifier.verify(token.as_bytes(), NOW), Ok(believed), "{algorithm}");
    }
}

#[test]
fn a_token_does_not_choose_what_it_is_verified_with() {
    for algorithm in ["none", "None", "HS256", "RS384", "PS256", "ES384", "es256", ""] {
        let header = json!({"alg": algorithm, "kid": "e"}).to_string();
        let token = format!("{}.", signed(&header, &claims().to_string()));
        assert_eq!(verify(&token).err(), Some(TokenFault::Algorithm), "{algorithm}");
    }
    // The public key as a shared secret is what an HMAC would be made with; there is none.
    let es256 = issuer().sign("ES256", signed(HEADER, &claims().to_string()).as_bytes());
    let signature = Base64UrlUnpadded::encode_string(&es256);
    for (algorithm, kid) in [("EdDSA", "d"), ("RS256", "r")] {
        let header = json!({"alg": algorithm, "kid": kid}).to_string();
        let token = format!("{}.{signature}", signed(&header, &claims().to_string()));
        assert_eq!(verify(&token).err(), Some(TokenFault::Signature), "{algorithm}");
    }
    // The key of one algorithm under the name of another.
    for (algorithm, kid) in [("EdDSA", "e"), ("ES256", "r"), ("RS256", "d")] {
        let header = json!({"alg": algorithm, "kid": kid}).to_string();
        let fault = fault_of(&header, &claims().to_string());
        assert_eq!(fault, Some(TokenFault::UnknownKey), "{algorithm}");
    }
}

#[test]
fn another_key_another_message_or_half_a_signature_is_refused() {
    let good = signed(HEADER, &claims().to_string());
    let of_stranger = issuer().stranger.sign(&SystemRandom::new(), good.as_bytes()).unwrap();
    let own = issuer().sign("ES256", good.as_bytes());
    let other = signed(HEADER, &with("sub", json!("admin")));
    for (signed, signature) in [
        (&good, of_stranger.as_ref()),
        (&other, &own[..]),
        (&good, &own[..63]),
        (&good, &[0; 64][..]),
        (&good, &[][..]),
    ] {
        let token = format!("{signed}.{}", Base64UrlUnpadded::encode_string(signature));
        assert_eq!(verify(&token).err(), Some(TokenFault::Signature));
    }
}

#[test]
fn a_key_is_meant_by_its_name_or_because_there_is_no_other() {
    let claims = claims().to_string();
    assert_eq!(fault_of(r#"{"alg":"ES256"}"#, &claims), None);
    let unknown = fault_of(r#"{"alg":"ES256","kid":"x"}"#, &claims);
    assert_eq!(unknown, Some(TokenFault::UnknownKey));
    let wrong = fault_of(r#"{"alg":"ES256","kid":7}"#, &claims);
    assert_eq!(wrong, Some(TokenFault::Type("kid")));
    let two = [issuer().jwk("ES256", "e"), issuer().jwk("ES256", "f")];
    let two = TokenKeys::parse(&json!({ "keys": two }).to_string()).unwrap();
    let verifier = TokenVerifier::new(two, settings());
    let token = issuer().token(r#"{"alg":"ES256"}"#, &claims);
    assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), Some(TokenFault::KeyMissing));
    // Keys in PEM have no names: each may be meant.
    let pem = issuer().pem("RS256") + &issuer().pem("ES256");
    let verifier = TokenVerifier::new(TokenKeys::parse(&pem).unwrap(), settings());
    let token = issuer().token(r#"{"alg":"ES256","kid":"x"}"#, &claims);
    assert!(verifier.verify(token.as_bytes(), NOW).is_ok());
}

#[test]
fn time_counts_with_its_leeway() {
    let now = NOW.as_secs();
    for (name, value, fault) in [
        ("exp", json!(now - 31), Some(TokenFault::Expired)),
        ("exp", json!(now - 30), Some(TokenFault::Expired)),
        ("exp", json!(now - 29), None),
        ("exp", json!(now as f64 + 0.5), None),
        ("exp", json!(u64::MAX), None),
        ("exp", json!(0), Some(TokenFault::Expired)),
        ("exp", json!(-1), Some(TokenFault::Type("exp"))),
        ("exp", json!(1e300), Some(TokenFault::Type("exp"))),
        ("exp", json!("tomorrow"), Some(TokenFault::Type("exp"))),
        ("exp", json!(null), Some(TokenFault::Type("exp"))),
        ("nbf", json!(now + 31), Some(TokenFault::NotYet)),
        ("nbf", json!(now + 30), None),
        ("nbf", json!([now]), Some(TokenFault::Type("nbf"))),
    ] {
        assert_eq!(fault_of(HEADER, &with(name, value.clone())), fault, "{name} {value}");
    }
    assert_eq!(fault_of(HEADER, &without("exp")), Some(TokenFault::NoExpiry));
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
    for (name, value, fault) in [
        ("iss", json!("there"), Some(TokenFault::Issuer)),
        ("iss", json!(["here"]), Some(TokenFault::Type("iss"))),
        ("aud", json!("Broker"), Some(TokenFault::Audience)),
        ("aud", json!([]), Some(TokenFault::Audience)),
        ("aud", json!(["shop", "broker"]), None),
        ("aud", json!({"broker": 1}), Some(TokenFault::Type("aud"))),
    ] {
        assert_eq!(fault_of(HEADER, &with(name, value.clone())), fault, "{name} {value}");
    }
    assert_eq!(fault_of(HEADER, &without("iss")), Some(TokenFault::Issuer));
    assert_eq!(fault_of(HEADER, &without("aud")), Some(TokenFault::Audience));
    let token = issuer().token(HEADER, &claims().to_string());
    let fault = verify_as(Settings::default(), &token).err();
    assert_eq!(fault, Some(TokenFault::AudienceUnset));
    let token = issuer().token(HEADER, &without("aud"));
    assert!(verify_as(Settings::default(), &token).is_ok());
}

#[test]
fn what_appears_twice_or_asks_to_be_understood_is_refused() {
    let claims = claims().to_string();
    for (header, fault) in [
        (r#"{"alg":"ES256","alg":"ES256","kid":"e"}"#, TokenFault::Json),
        (r#"{"alg":"none","alg":"ES256"}"#, TokenFault::Json),
        (r#"{"alg":"ES256","kid":"x","kid":"e"}"#, TokenFault::Json),
        (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, TokenFault::Critical),
        (r#"{"kid":"e"}"#, TokenFault::Type("alg")),
        (r#"{"alg":["ES256"]}"#, TokenFault::Type("alg")),
        (r#"["ES256"]"#, TokenFault::Json),
        ("{", TokenFault::Json),
        ("", TokenFault::Json),
    ] {
        assert_eq!(fault_of(header, &claims), Some(fault), "{header}");
    }
    let twice = format!(r#"{{"sub":"ann","sub":"eve","exp":{}}}"#, NOW.as_secs() + 60);
    assert_eq!(fault_of(HEADER, &twice), Some(TokenFault::Json));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(fault_of(HEADER, &deep), Some(TokenFault::Json));
}

#[test]
fn r21_a_token_is_written_in_one_way_alone_and_is_not_long() {
    let token = issuer().token(HEADER, &claims().to_string());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    // The last digit of 64 bytes has four bits to spare: none of them is set by an encoder.
    let (start, last) = signature.split_at(signature.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    for bad in [
        format!("{signed}.{start}{next}"),
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!("{token}."),
        format!("{signed}.{start}"),
        format!(".{token}"),
        token.replace('.', ""),
        String::new(),
        "..".to_owned(),
        "\0".to_owned(),
    ] {
        let fault = verify(&bad).err();
        let is_refused = matches!(fault, Some(TokenFault::Encoding | TokenFault::Json));
        assert!(is_refused, "{fault:?}: {bad}");
    }
    let long = format!("{token}{}", "A".repeat(MAX_TOKEN_BYTES));
    assert_eq!(verify(&long).err(), Some(TokenFault::TooLong));
}

#[test]
fn claims_become_attributes_one_for_each_value() {
    let claims = json!({
        "sub": "ann", "iss": "here", "aud": "broker", "exp": NOW.as_secs() + 60, "iat": 1,
        "jti": "x", "roles": ["reader", 7, {"a": 1}, null], "scope": "a:b  c", "site": 12.5,
        "nested": {"roles": ["admin"]}, "flag": true,
    });
    let token = verify(&issuer().token(HEADER, &claims.to_string())).unwrap();
    let mut said: Vec<_> = token.attributes.iter().collect();
    assert!(said.iter().all(|each| each.source == AttributeSource::Token));
    said.sort_by_key(|each| (each.name.clone(), each.value.clone()));
    let said: Vec<_> = said.iter().map(|each| format!("{}={}", each.name, each.value)).collect();
    assert_eq!(
        said,
        [
            "aud=broker",
            "iss=here",
            "roles=7",
            "roles=reader",
            "scope=a:b",
            "scope=c",
            "site=12.5",
            "sub=ann"
        ]
    );
    let many: Vec<_> = (0..300).collect();
    assert_eq!(fault_of(HEADER, &with("roles", json!(many))), Some(TokenFault::TooManyClaims));
}

#[test]
fn the_principal_is_a_name_that_hides_nothing() {
    for bad in ["", " ", "#", "a\0b", "a\nb", " ann", &"x".repeat(129)] {
        assert_eq!(fault_of(HEADER, &with("sub", json!(bad))), Some(TokenFault::Subject), "{bad}");
    }
    assert_eq!(fault_of(HEADER, &with("sub", json!(7))), Some(TokenFault::NoSubject));
    assert_eq!(fault_of(HEADER, &without("sub")), Some(TokenFault::NoSubject));
    let settings = Settings { principal_claim: "device".to_owned(), ..settings() };
    let token = issuer().token(HEADER, &with("device", json!("plant:7")));
    assert_eq!(&*verify_as(settings, &token).unwrap().subject, "plant:7");
}

#[test]
fn keys_that_are_weak_damaged_private_or_none_are_refused_with_their_place() {
    let parse = |keys: Value| TokenKeys::parse(&json!({ "keys": keys }).to_string()).err();
    let broken = |what| Some(KeysError::BrokenKey { position: 1, what });
    let n = |bytes: usize| Base64UrlUnpadded::encode_string(&vec![0xff; bytes]);
    let rsa = |bytes| json!([{"kty": "RSA", "n": n(bytes), "e": "AQAB"}]);
    assert_eq!(parse(rsa(128)), broken("RSA keys have 2,048 to 8,192 bits"));
    assert_eq!(parse(rsa(255)), broken("RSA keys have 2,048 to 8,192 bits"));
    assert_eq!(parse(rsa(1_025)), broken("RSA keys have 2,048 to 8,192 bits"));
    let missing = json!([{"kty": "RSA", "n": n(256)}]);
    assert_eq!(parse(missing), broken("a member that it needs is missing"));
    let off_curve = json!([{"kty": "EC", "crv": "P-256", "x": n(32), "y": n(32)}]);
    assert_eq!(parse(off_curve), broken("it is no point of P-256"));
    let short = json!([{"kty": "OKP", "crv": "Ed25519", "x": n(31)}]);
    assert_eq!(parse(short), broken("Ed25519 keys have 32 bytes"));
    let padded = json!([{"kty": "OKP", "crv": "Ed25519", "x": n(32) + "="}]);
    assert_eq!(parse(padded), broken("a member is not base64url"));
    let private = json!([{"kty": "OKP", "crv": "Ed25519", "x": n(32), "d": n(32)}]);
    assert_eq!(parse(private), Some(KeysError::Private { position: 1 }));
    let twice = json!([issuer().jwk("ES256", "e"), issuer().jwk("EdDSA", "e")]);
    assert_eq!(parse(twice), Some(KeysError::Twice { position: 2 }));
    let others = json!([
        {"kty": "oct", "k": n(32)}, {"kty": "EC", "crv": "P-384"}, {"kty": "RSA", "use": "enc"},
        {"kty": "RSA", "alg": "RS512"}, {"kty": "RSA", "key_ops": ["encrypt"]}, {"kty": "new"},
    ]);
    assert_eq!(parse(others), Some(KeysError::Empty));
    assert_eq!(TokenKeys::parse("").err(), Some(KeysError::Empty));
    assert!(matches!(TokenKeys::parse("{\"keys\":7}"), Err(KeysError::BrokenJson(_))));
    let half = issuer().pem("RS256");
    assert_eq!(TokenKeys::parse(&half[..200]).err(), Some(KeysError::BrokenPem));
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(TokenKeys::parse(private).err(), Some(KeysError::Private { position: 1 }));
    let many = issuer().pem("EdDSA").repeat(33);
    assert_eq!(TokenKeys::parse(&many).err(), Some(KeysError::TooMany));
}

#[test]
fn only_what_could_be_a_token_looks_like_one() {
    for password in ["", "apple", "eyJ", "eyJ.eyJ", "eyJ.eyJ.a.b", "eyJ.e J.a", "a.b.c", "eyJä.a.b"]
    {
        assert!(!looks_like_token(password.as_bytes()), "{password}");
    }
    assert!(looks_like_token(b"eyJhbGciOiJub25lIn0.e30."));
}
