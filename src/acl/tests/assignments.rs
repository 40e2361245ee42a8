//! Who holds a role: by name, by what its proof says, and from where it comes.

use super::*;
use crate::identity::{Attribute, AttributeSource, Attributes, TransportSecurity};

fn attributes(all: &[(AttributeSource, &str, &str)]) -> Attributes {
    let attribute = |&(source, name, value): &(_, &str, &str)| Attribute {
        source,
        name: name.into(),
        value: value.into(),
    };
    all.iter().map(attribute).collect()
}

fn assigned(to: &str) -> Policy {
    policy(&format!(
        "[[role]]\nname = \"r\"\nrules = [{{ allow = [\"publish\"], topics = [\"a\"] }}]\n\
         [[assign]]\n{to}\nroles = [\"r\"]\n"
    ))
}

fn holds(policy: &Policy, subject: &Subject<'_>) -> bool {
    publishes(&policy.permit(subject), "a")
}

#[test]
fn a_proof_must_say_one_value_of_every_name_that_is_asked_for() {
    use AttributeSource::{Certificate, Token};
    let policy = assigned("certificate = { ou = [\"plant-1\", \"plant-2\"], o = [\"Acme\"] }");
    for (said, wanted) in [
        (&[(Certificate, "ou", "plant-2"), (Certificate, "o", "Acme")][..], true),
        (
            &[(Certificate, "ou", "x"), (Certificate, "ou", "plant-1"), (Certificate, "o", "Acme")],
            true,
        ),
        (&[(Certificate, "ou", "plant-1")], false),
        (&[(Certificate, "o", "Acme")], false),
        (&[(Certificate, "ou", "plant-3"), (Certificate, "o", "Acme")], false),
        (&[(Token, "ou", "plant-1"), (Token, "o", "Acme")], false),
        (&[(Certificate, "ou", "plant-1"), (Token, "o", "Acme")], false),
        (&[], false),
    ] {
        let (principal, client_id) = (user("u"), ClientId::new("c"));
        let attributes = attributes(said);
        let subject = Subject { attributes: &attributes, ..Subject::named(&principal, &client_id) };
        assert_eq!(holds(&policy, &subject), wanted, "{said:?}");
    }
}

#[test]
fn each_proof_has_its_own_words() {
    use AttributeSource::{Certificate, Http, Token, Unix};
    for (to, said) in [
        ("certificate = { fingerprint = [\"00ff\"] }", (Certificate, "fingerprint", "00ff")),
        ("unix = { group = [\"plc\"] }", (Unix, "group", "plc")),
        ("claims = { roles = [\"operator\"] }", (Token, "roles", "operator")),
        ("http = { groups = [\"staff\"] }", (Http, "groups", "staff")),
    ] {
        let (principal, client_id) = (user("u"), ClientId::new("c"));
        let attributes = attributes(&[said]);
        let subject = Subject { attributes: &attributes, ..Subject::named(&principal, &client_id) };
        assert!(holds(&assigned(to), &subject), "{to}");
        assert!(!holds(&assigned(to), &Subject::named(&principal, &client_id)), "{to}");
    }
}

#[test]
fn a_role_may_be_held_only_by_who_comes_the_right_way() {
    let policy =
        assigned("everyone = true\nlisteners = [\"mqtts://0.0.0.0:8883\"]\ntransport = [\"tls\"]");
    let (principal, client_id) = (user("u"), ClientId::new("c"));
    let comes = |listener, security| {
        let subject = Subject { listener, security, ..Subject::named(&principal, &client_id) };
        holds(&policy, &subject)
    };
    assert!(comes("mqtts://0.0.0.0:8883", TransportSecurity::Tls));
    assert!(comes("mqtts://0.0.0.0:8883", TransportSecurity::MutualTls));
    assert!(!comes("mqtts://0.0.0.0:8883", TransportSecurity::Plain));
    assert!(!comes("mqtts://0.0.0.0:8884", TransportSecurity::Tls));
}

#[test]
fn what_no_proof_could_say_is_an_error() {
    for (to, error) in [
        (
            "certificate = { unit = [\"x\"] }",
            "line 5, column 17: certificate has no key \"unit\", only cn, ou, o, san-dns, san-uri, \
             san-email, serial, fingerprint",
        ),
        ("unix = {}", "line 5, column 8: unix is empty: fill it or leave it out"),
        ("claims = \"x\"", "line 5, column 10: claims takes names in braces, not this string"),
        (
            "http = { roles = [\"*\"] }",
            "line 5, column 19: names are exact, without '*': name each, or write everyone = true",
        ),
        (
            "everyone = true\nlisteners = [\"plain\"]",
            "line 6, column 14: a listener goes by its URL, like \"mqtts://0.0.0.0:8883\"",
        ),
        (
            "everyone = true\ntransport = [\"ssl\"]",
            "line 6, column 14: \"ssl\" is no transport, only plain, tls, mtls, unix",
        ),
    ] {
        let text =
            format!("[[role]]\nname = \"r\"\nrules = []\n[[assign]]\n{to}\nroles = [\"r\"]\n");
        assert_eq!(errors(&text), [error]);
    }
}
