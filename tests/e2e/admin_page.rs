//! The page of operators: who sees it, what it says, and that nothing that clients say does anything there.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::budgets::until;
use crate::harness::chromium::Tab;
use crate::harness::http::{self, ask, basic, series};
use crate::harness::raw::{self, Connect, PUBACK, PUBLISH, RawClient};
use crate::harness::site::add_user;
use crate::harness::{
    ADMIN, Broker, DEVICE1, Login, PATIENCE, Place, Site, Stream, bastionmq, scratch,
};

const OPERATOR: Login = ("olga", "an operator's password");
const PATHS: [&str; 5] = ["/", "/page.js", "/page.css", "/page.svg", "/api/overview"];
/// What somebody would call a client that is to do harm to who looks at it.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\">";

/// A broker with an operator, an audit log, a rule of the sentinel, and a control socket.
struct Scene {
    place: Place,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With some words of its configuration in the place of others.
    fn with(changes: &[(&str, &str)]) -> Self {
        let directory = scratch();
        let site = Site::shared();
        for name in ["policy.toml", "passwd"] {
            fs::copy(site.file(name), directory.path().join(name)).expect("a copy");
        }
        add_user(&directory.path().join("operators"), OPERATOR.0, OPERATOR.1);
        let config = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\npassword_file = \"operators\"\n\
             [auth]\npassword_file = \"passwd\"\nlockout_failures = 5\nlockout_seconds = 600\n\
             [acl]\npolicy_file = \"policy.toml\"\n\
             [keys]\nmaster_key_file = \"master.key\"\n[audit]\ndir = \"audit\"\n\
             [control]\nsocket = \"control/ctl.sock\"\n\
             [[sentinel.rule]]\nname = \"probing\"\nevents = [\"denied\"]\nper = [\"client\"]\n\
             threshold = 3\nabout = \"It asks for too much\"\n";
        let config = changes.iter().fold(config.to_owned(), |config, (from, to)| {
            assert!(config.contains(from), "{from}");
            config.replacen(from, to, 1)
        });
        fs::write(directory.path().join("bastionmq.toml"), config).expect("a configuration");
        Self { place: Place::serve(directory) }
    }

    fn broker(&self) -> &Broker {
        &self.place.broker
    }

    fn port(&self) -> u16 {
        self.broker().admin_port()
    }

    fn status(&self, path: &str, login: Login) -> u16 {
        ask(self.port(), path, &basic(login)).status
    }

    fn overview(&self) -> Value {
        let answer = ask(self.port(), "/api/overview", &basic(OPERATOR));
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    fn connect(&self, connect: &Connect) -> RawClient {
        RawClient::connected(self.broker().plain_port(), connect)
    }

    fn ctl(&self, words: &[&str]) -> String {
        let mut command = bastionmq();
        command.arg("ctl").arg("--socket").arg(self.place.file("control/ctl.sock")).args(words);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What stands in the audit log about `event`.
    fn recorded(&self, event: &str) -> Vec<Value> {
        let mut command = bastionmq();
        let directory: PathBuf = self.place.file("");
        command.args(["audit", "search", "--config", "bastionmq.toml", "--event", event]);
        let output = command.current_dir(directory).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// A client that takes one message and says nothing to it, while `count` more wait.
    fn slow_client(&self, client_id: &str, count: u16) -> (RawClient, RawClient) {
        let one_at_a_time = vec![0x21, 0, 1];
        let connect = Connect::new(5, client_id).login(ADMIN);
        let mut slow = self.connect(&Connect { properties: one_at_a_time, ..connect });
        assert_eq!(slow.subscribe(5, "flow", 1), 1);
        let mut publisher = self.connect(&Connect::new(5, "publisher").login(ADMIN));
        for id in 1..=count + 1 {
            publisher.send(&raw::publish_with(5, PUBLISH | 2, "flow", Some(id), &[], b"message"));
            assert_eq!(publisher.expect(PUBACK).acknowledged().0, id);
        }
        (slow, publisher)
    }

    /// Breaks the rule of the sentinel.
    fn probe(&self, client_id: &str) -> RawClient {
        let mut client = self.connect(&Connect::new(5, client_id).login(DEVICE1));
        for number in 0..3 {
            assert_eq!(client.subscribe(5, &format!("else/{number}"), 0), 0x87);
        }
        client
    }
}

#[test]
fn there_is_no_page_until_operators_have_a_password_file_and_it_is_told_how_to_make_one() {
    let broker = Broker::secure();
    for path in PATHS {
        for headers in [String::new(), basic(ADMIN)] {
            let answer = ask(broker.admin_port(), path, &headers);
            assert_eq!(answer.status, 404, "{path}");
            assert!(answer.body.contains("bastionmq passwd add operators"), "{}", answer.body);
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
}

#[test]
fn only_an_operator_sees_the_page_and_metrics_are_for_everybody_as_before() {
    let scene = Scene::new();
    for path in PATHS {
        let answer = ask(scene.port(), path, "");
        assert_eq!(answer.status, 401, "{path}");
        let challenge = "Basic realm=\"BastionMQ\", charset=\"UTF-8\"";
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
        // That of a client is no operator's, whatever it may do.
        assert_eq!(scene.status(path, ADMIN), 401, "{path}");
        assert_eq!(scene.status(path, OPERATOR), 200, "{path}");
    }
    let wrong = (OPERATOR.0, "a guess");
    assert_eq!(scene.status("/", wrong), 401);
    assert_eq!(http::get(scene.port(), "/metrics").0, 200);
    assert_eq!(ask(scene.port(), "/nothing", &basic(OPERATOR)).status, 404);
    // Nor is an operator a client.
    let mut client = RawClient::plain(scene.broker().plain_port());
    client.send(&Connect::new(5, "c").login(OPERATOR).encode());
    assert_eq!(client.expect(raw::CONNACK).reason(), 0x86);
}

#[test]
fn a_script_is_refused_without_a_window_of_the_browser_and_other_pages_altogether() {
    let scene = Scene::new();
    let script = ask(scene.port(), "/api/overview", "Sec-Fetch-Dest: empty\r\n");
    assert_eq!((script.status, script.header("www-authenticate")), (401, Some("BastionMQ-Page")));
    let foreign =
        format!("{}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n", basic(OPERATOR));
    let answer = ask(scene.port(), "/api/overview", &foreign);
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let link =
        format!("{}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", basic(OPERATOR));
    assert_eq!(ask(scene.port(), "/", &link).status, 200);
}

#[test]
fn every_answer_of_the_page_has_the_strictest_headers() {
    let scene = Scene::new();
    let strict = [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    let kinds = ["text/html", "text/javascript", "text/css", "image/svg+xml", "application/json"];
    for (path, kind) in PATHS.into_iter().zip(kinds) {
        for headers in [basic(OPERATOR), String::new()] {
            let answer = ask(scene.port(), path, &headers);
            for (name, value) in strict {
                assert_eq!(answer.header(name), Some(value), "{path}: {name}\n{}", answer.head);
            }
            let is_shown = answer.header("content-type").is_some_and(|it| it.starts_with(kind));
            assert_eq!(is_shown, !headers.is_empty(), "{path}: {}", answer.head);
        }
    }
}

#[test]
fn whoever_guesses_is_locked_out_even_with_the_right_password_until_that_is_lifted() {
    let scene = Scene::new();
    assert_eq!(scene.status("/api/overview", OPERATOR), 200);
    for guess in ["one", "two", "three", "four", "five"] {
        assert_eq!(scene.status("/", (OPERATOR.0, guess)), 401);
    }
    // Not even what has just been proven is looked at: it could be a guess.
    assert_eq!(scene.status("/api/overview", OPERATOR), 429);
    assert!(scene.ctl(&["lockouts"]).contains("admin:olga"));
    scene.ctl(&["lift", "admin:olga"]);
    assert_eq!(scene.status("/api/overview", OPERATOR), 200);
    let counted = |result: &str| {
        series(scene.port(), &format!("bastionmq_admin_logins_total{{result=\"{result}\"}}"))
    };
    // Whoever asks again is not hashed for again.
    assert_eq!((counted("accepted"), counted("refused"), counted("locked_out")), (1.0, 5.0, 1.0));
}

#[test]
fn a_strict_audit_log_has_who_is_locked_out_of_the_page_before_anybody_learns_of_it() {
    let scene = Scene::with(&[("dir = \"audit\"", "dir = \"audit\"\nstrict = true")]);
    for _ in 0..5 {
        assert_eq!(scene.status("/", (OPERATOR.0, "a guess")), 401);
    }
    assert_eq!(scene.status("/", OPERATOR), 429);
    let locked_out = scene.recorded("locked_out");
    assert!(locked_out.iter().any(|it| it["user"] == "admin:olga"), "{locked_out:?}");
}

#[test]
fn an_attack_on_the_page_is_counted_told_by_an_alert_written_down_and_locks_out_nobody_else() {
    let mut scene =
        Scene::with(&[("lockout_seconds", "lockout_address_failures = 8\nlockout_seconds")]);
    for guess in ["one", "two", "three", "four", "five"] {
        assert_eq!(scene.status("/", (OPERATOR.0, guess)), 401);
    }
    assert_eq!(scene.status("/", (OPERATOR.0, "six")), 429);
    for name in ["eve", "mallory", "trudy"] {
        assert_eq!(scene.status("/", (name, "a guess")), 401);
    }
    // Now whoever the operator is, since nobody has logged in from there before.
    assert_eq!(scene.status("/", ("oscar", "a guess")), 429);

    let found = "bastionmq_sentinel_findings_total{rule=\"page-guessing\",severity=\"warning\"}";
    until("it is found", || series(scene.port(), found) > 0.5);
    let counted = |result: &str| {
        series(scene.port(), &format!("bastionmq_admin_logins_total{{result=\"{result}\"}}"))
    };
    assert_eq!((counted("refused"), counted("locked_out")), (8.0, 2.0));
    assert_eq!(series(scene.port(), found), 1.0);
    let alerts = scene.ctl(&["sentinel", "alerts", "--json"]);
    let alert: Value = serde_json::from_str(alerts.trim()).expect("one alert");
    assert_eq!((&alert["rule"], &alert["listener"]), (&"page-guessing".into(), &"admin".into()));
    assert_eq!((&alert["key"]["address"], &alert["value"]), (&"127.0.0.1".into(), &10.0.into()));

    // Clients of the same address come in as ever, one that has not been here before among them.
    let _client = scene.connect(&Connect::new(5, "c").login(DEVICE1));
    assert!(scene.ctl(&["lockouts"]).contains("admin:olga"));
    scene.ctl(&["lift", "--all"]);
    assert_eq!(scene.status("/", OPERATOR), 200);
    scene.broker().terminate();
    scene.place.broker.wait();
    let refused = scene.recorded("operator_refused");
    assert_eq!(refused.len(), 8);
    assert!(refused.iter().all(|it| it["address"] == "127.0.0.1"), "{refused:?}");
    let locked_out = scene.recorded("locked_out");
    assert!(locked_out.iter().any(|it| it["user"] == "admin:olga"), "{locked_out:?}");
    assert_eq!(scene.recorded("alert").len(), 1);
    assert!(scene.recorded("banned").is_empty());
}

#[test]
fn a_login_is_over_after_so_long_without_a_question_and_that_changes_while_the_broker_runs() {
    let scene = Scene::with(&[(
        "password_file = \"operators\"",
        "password_file = \"operators\"\nlogin_idle_seconds = 1",
    )]);
    let accepted = || series(scene.port(), "bastionmq_admin_logins_total{result=\"accepted\"}");
    assert_eq!(scene.status("/", OPERATOR), 200);
    until("it is over", || {
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        assert_eq!(scene.status("/", OPERATOR), 200);
        accepted() >= 2.0
    });
    scene.place.edit("bastionmq.toml", "login_idle_seconds = 1", "login_idle_seconds = 600");
    scene.place.log("`admin.login_idle_seconds` is in force");
    scene.place.reloaded("config");
    assert_eq!(scene.status("/", OPERATOR), 200);
    let before = accepted();
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    assert_eq!(scene.status("/", OPERATOR), 200);
    assert_eq!(accepted(), before);
}

#[test]
fn a_password_that_is_taken_back_opens_nothing_any_more_and_without_a_file_the_page_is_gone() {
    let scene = Scene::new();
    assert_eq!(scene.status("/", OPERATOR), 200);
    let operators = scene.place.text("operators").replace("olga:", "other:");
    scene.place.replace("operators", operators);
    scene.place.reloaded("operators");
    assert_eq!(scene.status("/", OPERATOR), 401);
    assert_eq!(scene.status("/", ("other", OPERATOR.1)), 200);
    scene.place.replace("operators", "no password file");
    scene.place.log("not reloaded");
    assert_eq!(scene.status("/", ("other", OPERATOR.1)), 200);
    scene.place.edit("bastionmq.toml", "password_file = \"operators\"\n", "");
    scene.place.reloaded("config");
    until("it is off", || ask(scene.port(), "/", "").status == 404);
}

#[test]
fn who_came_to_the_page_and_who_was_refused_stands_in_the_audit_log() {
    let mut scene = Scene::new();
    assert_eq!(scene.status("/", OPERATOR), 200);
    assert_eq!(scene.status("/api/overview", OPERATOR), 200);
    assert_eq!(scene.status("/", ("eve", "a guess")), 401);
    let line = scene.place.log("an operator was refused at the page");
    assert!(line.contains("eve"), "{line}");
    let log = scene.broker().process().transcript();
    assert!(!log.contains("a guess") && !log.contains(OPERATOR.1), "{log}");
    scene.broker().terminate();
    scene.place.broker.wait();
    let [came] = &scene.recorded("operator_login")[..] else { panic!("one login") };
    assert_eq!((&came["user"], &came["address"]), (&"olga".into(), &"127.0.0.1".into()));
    let [refused] = &scene.recorded("operator_refused")[..] else { panic!("one refusal") };
    assert_eq!((&refused["user"], &refused["address"]), (&"eve".into(), &"127.0.0.1".into()));
}

#[test]
fn the_overview_tells_of_slow_clients_alerts_bans_and_refusals() {
    let scene = Scene::new();
    let _slow = scene.slow_client("slow", 7);
    let _prober = scene.probe("prober");
    scene.ctl(&["ban", "add", "198.51.100.0/24", "--for", "1h", "--why", "a test"]);
    until("all of it is told", || {
        let told = scene.overview();
        let is_slow = told["slowest"][0]["messages"] == 7;
        is_slow && told["alerts"][0]["rule"] == "probing" && told["bans"]["of"] == 1
    });
    let told = scene.overview();
    let slowest = &told["slowest"][0];
    assert_eq!((&slowest["client_id"], &slowest["connected"]), (&"slow".into(), &true.into()));
    assert!(slowest["seconds"].as_f64() > Some(0.0) && slowest["bytes"].as_u64() > Some(7 * 11));
    assert_eq!(told["slowest"].as_array().map(Vec::len), Some(1), "{told}");
    let ban = &told["bans"]["shown"][0];
    assert_eq!((&ban["subject"], &ban["why"]), (&"198.51.100.0/24".into(), &"a test".into()));
    assert_eq!(told["refused"]["policy"]["subscribe"], 3.0);
    assert_eq!((&told["ready"], &told["has_store"]), (&true.into(), &false.into()));
    assert_eq!(told["counters"]["messages_in"], 8.0);
    let bounds = told["delivery"]["bounds"].as_array().map(Vec::len).expect("bounds");
    let counts = told["delivery"]["counts"].as_array().expect("counts");
    assert_eq!(counts.len(), bounds + 1);
    assert_eq!(counts[bounds], 1.0);
}

#[test]
fn in_a_browser_the_page_shows_what_happens_under_its_policy_and_names_of_clients_do_nothing() {
    let scene = Scene::new();
    let _slow = scene.slow_client(HOSTILE, 12);
    let mut tab = Tab::open((1280, 800), Some(OPERATOR));
    tab.go(&format!("http://localhost:{}/", scene.port()));
    let cell = |id: &str| format!("document.getElementById('{id}').textContent");
    tab.wait_until(&format!("{} === 'Ready'", cell("status")));
    tab.wait_until(&format!("{} === '2'", cell("t-clients")));

    // A name is what it says, and no image.
    let shown = tab.evaluate("document.querySelector('#slowest td b').textContent");
    assert_eq!(shown, HOSTILE);
    assert_eq!(tab.evaluate("document.querySelectorAll('main img').length"), 0);
    assert_eq!(tab.evaluate("document.title"), "BastionMQ");

    // What happens now is there soon, without a word of the reader's.
    let _prober = scene.probe(HOSTILE.trim_end_matches('>'));
    scene.ctl(&["ban", "add", "client:<b>x</b>", "--why", "<script>document.title=1</script>"]);
    tab.wait_until(&format!("{}.includes('probing')", cell("alerts")));
    tab.wait_until(&format!("{}.includes('client:<b>x</b>')", cell("bans")));
    tab.wait_until(&format!("{}.includes('subscribe')", cell("reasons")));
    tab.wait_until("document.querySelectorAll('[data-chart=connections] path.line').length === 2");
    tab.wait_until("document.querySelectorAll('[data-chart=refusals] path.stack').length === 1");
    let label = tab.evaluate("document.querySelector('[data-chart=refusals] svg').ariaLabel");
    assert!(
        label.as_str().is_some_and(|it| it.starts_with("Refusals, per minute: policy ")),
        "{label}"
    );
    assert_eq!(tab.evaluate("document.querySelectorAll('main b b, main script').length"), 0);
    assert_eq!(tab.evaluate("document.title"), "BastionMQ");
    assert_eq!(tab.complaints(), [""; 0]);

    // The policy is in force: what the page does not do, nobody else does there either.
    tab.evaluate("document.body.setAttribute('style', 'display:none'); 0");
    assert_ne!(tab.evaluate("getComputedStyle(document.body).display"), "none");
    let refused = "fetch('http://localhost:1/').then(() => 'sent', () => 'not sent')";
    assert_eq!(tab.evaluate(refused), "not sent");
    until_told(&mut tab, "Content Security Policy");
}

/// Waits until the browser has complained of it.
fn until_told(tab: &mut Tab, text: &str) {
    let begin = std::time::Instant::now();
    while !tab.complaints().iter().any(|it| it.contains(text)) {
        assert!(begin.elapsed() < PATIENCE, "{:?}", tab.complaints());
        tab.evaluate("0");
    }
}

#[test]
fn in_a_browser_the_page_says_when_its_login_is_no_longer_good_and_when_nobody_answers() {
    let mut scene = Scene::new();
    let mut tab = Tab::open((400, 800), Some(OPERATOR));
    let url = format!("http://localhost:{}/", scene.port());
    tab.go(&url);
    let status = "document.getElementById('status').textContent";
    tab.wait_until(&format!("{status} === 'Ready'"));
    // On a phone it is as wide as the phone.
    let width = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(tab.evaluate(width), 0);

    let before = scene.place.text("operators");
    scene.place.replace("operators", before.replace("olga:", "other:"));
    scene.place.reloaded("operators");
    tab.wait_until(&format!("{status} === 'Logged out'"));
    let banner = "document.getElementById('banner').textContent";
    let said = tab.evaluate(banner);
    assert!(said.as_str().is_some_and(|it| it.contains("no longer good")), "{said}");
    // It asks no more: that would be guessing.
    let refused = "bastionmq_admin_logins_total{result=\"refused\"}";
    assert_eq!(series(scene.port(), refused), 1.0);

    scene.place.replace("operators", before);
    scene.place.reloaded_times("operators", 2);
    tab.go(&url);
    tab.wait_until(&format!("{status} === 'Ready'"));
    scene.place.broker.process_mut().kill();
    tab.wait_until(&format!("{status} === 'Not reachable'"));
    let said = tab.evaluate(banner);
    assert!(said.as_str().is_some_and(|it| it.contains("does not answer")), "{said}");
}

#[test]
fn in_a_browser_whoever_has_no_login_sees_nothing_of_the_page() {
    let scene = Scene::new();
    let mut tab = Tab::open((1280, 800), None);
    tab.go(&format!("http://localhost:{}/", scene.port()));
    tab.wait_until("document.body.innerText.includes('This page is for operators')");
    scene.broker().process().wait_for(Stream::Out, |line| (line == "ready").then_some(()));
    assert_eq!(series(scene.port(), "bastionmq_admin_logins_total{result=\"refused\"}"), 0.0);
}
