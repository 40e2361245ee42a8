//! `[webhook]`: where alerts may be posted, and by which secrets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::site::{PLAIN, Site, complaint, complaints};

fn webhook(settings: &str) -> String {
    format!("{PLAIN}[webhook]\n{settings}\n")
}

#[test]
fn alerts_are_posted_by_https_or_on_this_machine() {
    for url in ["http://alerts.example.com/", "http://10.0.0.1/"] {
        let said = complaint(&webhook(&format!("url = \"{url}\"")));
        assert!(said.contains("`webhook.url` is plain HTTP off loopback"), "{said}");
    }
    for url in ["http://localhost:8080/alerts", "http://[::1]/", "https://alerts.example.com/x"] {
        let resolved = Site::new(&webhook(&format!("url = \"{url}\""))).resolve();
        assert!(resolved.is_ok_and(|it| it.webhook.is_some()), "{url}");
    }
}

#[test]
fn what_means_nothing_is_an_error() {
    for (settings, fault) in [
        ("secret_file = \"s\"", "[webhook] has no effect without somewhere to post to: set `url`"),
        ("url = \"http://localhost/\"\nca_file = \"ca.crt\"", "`webhook.ca_file` means nothing"),
        ("url = \"https://localhost/?key=canary\"", "`webhook.url` has a `?` or a `#`"),
        ("url = \"localhost\"", "`webhook.url` is no URL"),
    ] {
        let said = complaint(&webhook(settings));
        assert!(said.contains(fault) && !said.contains("canary"), "{said}");
    }
}

#[test]
fn a_secret_is_its_owners_and_is_not_quoted() {
    let site = Site::new(&webhook("url = \"http://localhost/\"\nsecret_file = \"secret\""));
    let write = |content: &str, mode| {
        site.write("secret", content);
        fs::set_permissions(site.home().join("secret"), Permissions::from_mode(mode)).unwrap();
    };
    write("whsec_canary", 0o600);
    let said = complaints(&site, site.resolve());
    assert!(said[0].contains("holds no secret: one line is wanted"), "{said:?}");
    assert!(!said[0].contains("canary"), "{said:?}");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
    write(secret, 0o644);
    let said = complaints(&site, site.resolve());
    assert!(said[0].contains("run 'chmod 600 "), "{said:?}");
    write(secret, 0o600);
    let resolved = site.resolve().unwrap();
    assert!(!format!("{:?}", resolved.webhook).contains("MfKQ"));
}
