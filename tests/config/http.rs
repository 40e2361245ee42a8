//! `[http]`: what a service that is asked over HTTP may be, and what would be said of it in vain.

use crate::site::{PLAIN, Site, complaint, complaints};

fn http(settings: &str) -> String {
    format!("{PLAIN}[http]\n{settings}\n")
}

#[test]
fn plain_http_off_loopback_must_be_asked_for() {
    for url in ["http://id.example.com/login", "http://10.0.0.1/", "http://localhost.example.com/"]
    {
        let said = complaint(&http(&format!("url = \"{url}\"")));
        assert!(said.contains("`http.url` is plain HTTP off loopback"), "{said}");
        assert!(said.contains("allow_plain_http = true"), "{said}");
        let allowed = http(&format!("url = \"{url}\"\nallow_plain_http = true"));
        assert!(Site::new(&allowed).resolve().is_ok(), "{url}");
    }
    for url in ["http://localhost:8080/login", "http://127.0.0.1/", "http://[::1]/"] {
        assert!(Site::new(&http(&format!("url = \"{url}\""))).resolve().is_ok(), "{url}");
    }
}

#[test]
fn a_url_that_is_none_or_holds_a_secret_is_an_error_that_does_not_quote_it() {
    for (url, fault) in [
        ("", "`http.url` is no URL"),
        ("id.example.com", "`http.url` is no URL"),
        ("ftp://id.example.com/", "is neither an https:// nor an http:// URL"),
        ("https://broker:canary@id.example.com/", "see `token_file`"),
        ("https://id.example.com/?key=canary", "see `token_file`"),
    ] {
        let said = complaint(&http(&format!("url = \"{url}\"")));
        assert!(said.contains(fault) && !said.contains("canary"), "{said}");
    }
}

#[test]
fn what_would_have_no_effect_is_an_error() {
    for (settings, fault) in [
        ("ca_file = \"ca.crt\"", "[http] has no effect without a service to ask: set `url`"),
        ("url = \"http://localhost/\"\nca_file = \"ca.crt\"", "`http.ca_file` means nothing"),
        ("url = \"http://localhost/\"\nallow_plain_http = true", "`http.allow_plain_http` means"),
        ("url = \"https://localhost/\"\nclient_cert = \"c\"", "set `client_key`"),
        ("url = \"https://localhost/\"\nclient_key = \"k\"", "set `client_cert`"),
    ] {
        let said = complaint(&http(settings));
        assert!(said.contains(fault), "{said}");
    }
}

#[test]
fn files_that_cannot_be_used_are_errors() {
    let site = Site::new(&http(
        "url = \"https://localhost/\"\nca_file = \"ca.crt\"\ntoken_file = \"token\"",
    ));
    site.write("ca.crt", "no certificate");
    site.write("token", "two words");
    let said = complaints(&site, site.resolve());
    assert!(said[0].contains("holds no certificate"), "{said:?}");
    assert!(said[1].contains("holds no bearer token") && !said[1].contains("words"), "{said:?}");
}

#[test]
fn a_listener_may_ask_the_service_only_where_there_is_one() {
    let listener = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\nauthenticators = [\"http\"]\n\
                    [acl]\npolicy_file = \"policy.toml\"\n[auth]\nallow_anonymous = true\n";
    assert!(complaint(listener).contains("there is no service to ask; set `url` in [http]"));
    let site = Site::new(&format!("{listener}[http]\nurl = \"http://localhost/\"\n"));
    assert_eq!(site.resolve().unwrap().listeners[0].authenticators.to_string(), "http");
    // It is enough for somebody to log in, and it is asked before the password file.
    let default = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[acl]\npolicy_file = \"policy.toml\"\n\
                   [http]\nurl = \"http://localhost/\"\n";
    let resolved = Site::new(default).resolve().unwrap();
    assert_eq!(resolved.listeners[0].authenticators.to_string(), "http");
    let site = Site::new(&format!("{default}[auth]\npassword_file = \"users\"\n"));
    site.write("users", "");
    let resolved = site.resolve().unwrap();
    assert_eq!(resolved.listeners[0].authenticators.to_string(), "scram, http, password");
}

#[test]
fn a_timeout_that_no_client_waits_for_is_warned_of() {
    let site = Site::new(&http("url = \"http://localhost/\"\ntimeout_ms = 10_000"));
    let warnings = site.resolve().unwrap().warnings;
    assert!(warnings.iter().any(|it| it.contains("`timeout_ms` of [http]")), "{warnings:?}");
}
