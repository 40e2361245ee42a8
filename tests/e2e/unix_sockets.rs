//! Unix sockets, as the users of one machine see them. A thread of a test becomes another user for
//! the kernel, which the test has to run as root for.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tempfile::TempDir;

use crate::harness::raw::{self, CONNACK, Connect, RawClient};
use crate::harness::{Broker, Login, Stream, bastionmq, http, scratch};

/// Its number is the same on every Linux.
const NOBODY: u32 = 65_534;
/// Users without a name.
const STRANGER: u32 = 3_999_999_001;
const OTHER_STRANGER: u32 = 3_999_999_002;

const POLICY: &str = r##"
[[role]]
name = "own"
rules = [{ allow = ["publish", "subscribe"], topics = ["of/${username}/#"] }]

[[role]]
name = "maintenance"
rules = [{ allow = ["publish", "subscribe"], topics = ["maintenance/#"] }]

[[assign]]
everyone = true
transport = ["unix"]
roles = ["own"]

[[assign]]
unix = { uid = ["3999999001"], gid = ["4242"] }
roles = ["maintenance"]
"##;

struct Site {
    directory: TempDir,
}

impl Site {
    fn new(listener: &str) -> Self {
        let site = Self { directory: scratch() };
        // Others must get as far as the socket's own directory.
        fs::set_permissions(site.path(""), Permissions::from_mode(0o711)).unwrap();
        fs::write(site.path("policy.toml"), POLICY).unwrap();
        let socket = site.socket();
        let config = format!(
            "[[listener]]\nurl = \"unix://{}\"\n{listener}\n[acl]\npolicy_file = \"policy.toml\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n[log]\nlevel = \"debug\"\n",
            socket.display()
        );
        fs::write(site.path("bastionmq.toml"), config).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("run/mqtt.sock")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = bastionmq();
        command.arg(name).arg("--config").arg(self.path("bastionmq.toml"));
        command
    }

    fn start(&self) -> Broker {
        Broker::start(self.command("serve"), scratch())
    }
}

/// What `work` comes to as somebody else, of that group and no others.
pub(crate) fn as_user<T: Send + 'static>(
    uid: u32,
    gid: u32,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let become_and_work = move || {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[])
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            .expect(
                "only root can become somebody else: run this test as root (sudo -E tests/run)",
            );
        work()
    };
    thread::spawn(become_and_work).join().expect("it did its work")
}

/// Logs in without credentials; the reason code, unless the connection ends before.
fn log_in(socket: &Path) -> (RawClient, Option<u8>) {
    let mut client = RawClient::unix(socket).expect("the file system lets us");
    client.send(&Connect::new(5, "").encode());
    let answer = client.read_or_end();
    (client, answer.map(|frame| if frame.first == CONNACK { frame.reason() } else { 0xFF }))
}

/// Whether that user, with that group, is let in.
fn is_let_in(site: &Site, uid: u32, gid: u32) -> bool {
    let socket = site.socket();
    match as_user(uid, gid, move || log_in(&socket).1) {
        Some(reason) => reason == 0,
        None => false,
    }
}

#[test]
fn a_process_is_its_user_and_has_the_roles_of_what_the_kernel_knows_of_it() {
    let site = Site::new("unix_mode = \"0666\"\nunix_allow_uids = [3999999001, 3999999002]");
    let broker = site.start();
    let socket = site.socket();
    let answers = |uid, gid| {
        let socket = socket.clone();
        as_user(uid, gid, move || {
            let (mut client, reason) = log_in(&socket);
            assert_eq!(reason, Some(0));
            ["of/3999999001/x", "of/3999999002/x", "maintenance/x"]
                .map(|topic| client.subscribe(5, topic, 0))
        })
    };
    assert_eq!(answers(STRANGER, 4_242), [0, 0x87, 0]);
    assert_eq!(answers(STRANGER, 4_243), [0, 0x87, 0x87]);
    assert_eq!(answers(OTHER_STRANGER, 4_242), [0x87, 0, 0x87]);
    let log = broker.process().transcript();
    assert!(log.contains("unix:3999999001"), "{log}");
    assert!(log.contains("unix:uid=3999999001,gid=4242,pid="), "{log}");
}

#[test]
fn users_and_groups_are_let_in_by_name_and_by_number_and_nobody_else() {
    let nobody = name_of(NOBODY);
    let by_name = format!("unix_allow_users = [\"{nobody}\"]");
    for (allowed, uid, gid, is_expected) in [
        (by_name.as_str(), NOBODY, 4_242, true),
        (by_name.as_str(), STRANGER, 4_242, false),
        ("unix_allow_uids = [3999999001]", STRANGER, 4_242, true),
        ("unix_allow_uids = [3999999001]", OTHER_STRANGER, 4_242, false),
        ("unix_allow_gids = [4242]", STRANGER, 4_242, true),
        ("unix_allow_gids = [4242]", STRANGER, 4_243, false),
        ("unix_allow_groups = [\"root\"]", STRANGER, 0, true),
        ("unix_allow_groups = [\"root\"]", STRANGER, 4_242, false),
        // The groups of its account count, and not only those that it has put on.
        ("unix_allow_groups = [\"root\"]", 0, 4_242, true),
        ("", STRANGER, 4_242, false),
        ("", 0, 0, true),
    ] {
        let site = Site::new(&format!("unix_mode = \"0666\"\n{allowed}"));
        let broker = site.start();
        assert_eq!(is_let_in(&site, uid, gid), is_expected, "{allowed}: {uid} {gid}");
        if !is_expected {
            broker.process().wait_for_text(Stream::Err, "is not let in here");
            let refused = http::metric(broker.admin_port(), "bastionmq_connections_refused_total");
            assert_eq!(refused, Some(1.0));
        }
    }
}

/// As `/etc/passwd` of this machine calls it.
fn name_of(uid: u32) -> String {
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.into_iter().find(|fields| fields[2] == uid.to_string());
    line.expect("every Linux has it")[0].to_owned()
}

#[test]
fn a_program_is_told_from_others_of_its_user() {
    let own = std::env::current_exe().unwrap();
    let with =
        |executable: &Path| format!("unix_allow_executables = [\"{}\"]", executable.display());
    let site = Site::new(&with(&own));
    let _broker = site.start();
    assert!(is_let_in(&site, 0, 0));
    let site = Site::new(&with(Path::new("/bin/sh")));
    let broker = site.start();
    assert!(!is_let_in(&site, 0, 0));
    let said = broker.process().wait_for_text(Stream::Err, "which is not let in here");
    assert!(said.contains(&own.display().to_string()), "{said}");
}

#[test]
fn a_process_is_told_from_others_by_the_name_that_it_has_given_itself() {
    // That of its first thread.
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    let own = own.trim_end();
    let allowed = |name: &str| format!("unix_allow_processes = [{name:?}]");
    let site = Site::new(&allowed(own));
    let _broker = site.start();
    assert!(is_let_in(&site, 0, 0));
    let site = Site::new(&allowed("modbus-gateway"));
    let broker = site.start();
    assert!(!is_let_in(&site, 0, 0));
    let said = broker.process().wait_for_text(Stream::Err, "which is not let in here");
    assert!(said.contains(own), "{said}");
    // A name on one list makes up for nothing on the other.
    let site = Site::new(&format!("{}\nunix_allow_executables = [\"/bin/sh\"]", allowed(own)));
    let _broker = site.start();
    assert!(!is_let_in(&site, 0, 0));
}

#[test]
fn the_file_system_keeps_out_whom_the_socket_is_not_for() {
    let site = Site::new("unix_allow_uids = [0, 3999999001]");
    let _broker = site.start();
    let socket = site.socket();
    let error = as_user(STRANGER, 4_242, move || RawClient::unix(&socket).err());
    assert_eq!(error.unwrap().kind(), ErrorKind::PermissionDenied);
    assert!(is_let_in(&site, 0, 0));

    let site = Site::new("unix_group = \"root\"");
    let _broker = site.start();
    let in_group = site.socket();
    let (of_the_group, of_another) = (in_group.clone(), in_group);
    assert!(as_user(STRANGER, 0, move || log_in(&of_the_group).1 == Some(0)));
    let error = as_user(STRANGER, 4_242, move || RawClient::unix(&of_another).err());
    assert_eq!(error.unwrap().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn credentials_that_are_sent_must_be_right_whoever_sends_them() {
    let site = Site::new("unix_allow_uids = [0]");
    let _broker = site.start();
    let mut client = RawClient::unix(&site.socket()).unwrap();
    let login: Login = ("root", "guessed");
    client.send(&Connect::new(5, "x").login(login).encode());
    assert_eq!(client.expect(CONNACK).reason(), 0x86);
    client.expect_end();
}

#[test]
fn two_processes_speak_to_each_other() {
    let site = Site::new("unix_allow_uids = [0]");
    let _broker = site.start();
    let (mut one, _) = log_in(&site.socket());
    let (mut other, _) = log_in(&site.socket());
    assert_eq!(one.subscribe(5, "of/root/#", 0), 0);
    let payload = vec![b'x'; 200_000];
    other.send(&raw::publish(5, "of/root/large", &payload));
    assert_eq!(one.read().publish(5).payload, payload);
}

#[test]
fn r04_a_socket_that_is_made_under_umask_000_is_for_its_owner() {
    let site = Site::new("");
    let serve = site.command("serve");
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]);
    command.arg(serve.get_program()).args(serve.get_args());
    let _broker = Broker::start(command, scratch());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&site.socket()), 0o600);
    assert_eq!(mode(&site.path("run")), 0o700);
}

#[test]
fn a_socket_is_removed_at_the_end_and_replaced_after_a_crash() {
    let site = Site::new("");
    let mut broker = site.start();
    broker.terminate();
    assert!(broker.wait().success());
    assert!(!site.socket().exists());
    drop(UnixListener::bind(site.socket()).unwrap());
    assert!(fs::metadata(site.socket()).unwrap().file_type().is_socket());
    let _broker = site.start();
    assert!(is_let_in(&site, 0, 0));
}

#[test]
fn a_second_broker_is_told_who_has_the_socket() {
    let site = Site::new("");
    let _broker = site.start();
    let output = site.command("serve").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is served by process ") && said.contains("bastionmq"), "{said}");
    assert!(is_let_in(&site, 0, 0));
}
