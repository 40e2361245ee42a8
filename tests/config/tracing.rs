//! `[tracing]`: where traces may be posted, and how many.

use crate::site::{PLAIN, Site, complaint};

fn tracing(settings: &str) -> String {
    format!("{PLAIN}[tracing]\n{settings}\n")
}

#[test]
fn traces_are_posted_by_https_or_on_this_machine() {
    let said = complaint(&tracing("endpoint = \"http://collector.example.com:4318/v1/traces\""));
    assert!(said.contains("`tracing.endpoint` is plain HTTP off loopback"), "{said}");
    for url in ["http://127.0.0.1:4318/v1/traces", "https://collector.example.com/v1/traces"] {
        let resolved = Site::new(&tracing(&format!("endpoint = \"{url}\""))).resolve().unwrap();
        assert!(resolved.tracing.is_some(), "{url}");
        assert_eq!(resolved.warnings, [""; 0], "{url}");
    }
    assert!(Site::new(PLAIN).resolve().unwrap().tracing.is_none());
}

#[test]
fn what_means_nothing_is_an_error_and_a_collector_without_a_path_a_warning() {
    for (settings, fault) in [
        ("token_file = \"t\"", "[tracing] has no effect without a collector: set `endpoint`"),
        (
            "endpoint = \"http://localhost/x\"\nca_file = \"ca.crt\"",
            "`tracing.ca_file` means nothing",
        ),
        ("endpoint = \"https://localhost/?key=canary\"", "`tracing.endpoint` has a `?` or a `#`"),
        ("endpoint = \"localhost:4318\"", "`tracing.endpoint` is "),
    ] {
        let said = complaint(&tracing(settings));
        assert!(said.contains(fault) && !said.contains("canary"), "{said}");
    }
    let resolved = Site::new(&tracing("endpoint = \"http://localhost:4318\"")).resolve().unwrap();
    assert!(resolved.warnings[0].contains("\"http://localhost:4318/v1/traces\""));
}

#[test]
fn a_ratio_is_a_number_from_0_to_1_in_the_file_and_in_the_environment() {
    for key in ["connect_ratio", "publish_ratio"] {
        for value in ["-0.1", "1.5", "2", "nan", "\"all\""] {
            let said = complaint(&tracing(&format!("{key} = {value}")));
            assert!(said.contains(&format!("`tracing.{key}`")), "{said}");
        }
        for value in ["0", "1", "0.25", "1.0"] {
            assert!(Site::new(&tracing(&format!("{key} = {value}"))).load().is_ok(), "{value}");
        }
    }
    let said = complaint(&tracing("connect_ratio = 1.5"));
    assert!(said.contains("a number from 0 (none) to 1 (all) is needed"), "{said}");
}
