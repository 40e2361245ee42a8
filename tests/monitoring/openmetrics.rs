//! OpenMetrics, as others read it: the parser of Prometheus' own Python client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::drill::Stage;
use crate::harness::clients::python_of;

/// Reads all of it, and says how many families and samples there are.
const PARSE: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families
found = list(families(sys.stdin.read()))
names = [family.name for family in found]
assert len(names) == len(set(names)), names
kinds = {family.type for family in found}
assert kinds == {'counter', 'gauge', 'histogram'}, kinds
print(len(found), sum(len(family.samples) for family in found))
";

#[test]
fn the_reference_parser_of_openmetrics_takes_all_of_it() {
    let mut stage = Stage::set();
    stage.flow();
    let mut stream =
        TcpStream::connect(("127.0.0.1", stage.place.broker.admin_port())).expect("it is open");
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   Accept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");

    let mut command = python_of(PARSE);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("Python runs");
    child.stdin.take().expect("piped").write_all(body.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let numbers: Vec<usize> = said.split_whitespace().map(|it| it.parse().unwrap()).collect();
    assert!(numbers[0] > 50 && numbers[1] > 500, "{said}");
}
