//! A real file system that is too small, or cannot be written to: an ext4 of its own on a loop device. It
//! takes root and loop devices to mount one; `tests/run` says whether it can be, and then it must be.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::raw::{PUBACK, PUBLISH, publish_with};
use crate::harness::{Broker, Stream, bastionmq, http, scratch};
use crate::place::{Place, VERSION, client, kill, retained, stop};

/// What `tests/run` sets where file systems can be mounted.
const REQUIRED: &str = "TEST_MOUNT";
const QUOTA_EXCEEDED: u8 = 0x97;
/// A QoS 1 message to be retained.
const RETAIN: u8 = PUBLISH | 1 | 1 << 1;

/// A file system of 24 MiB, as long as it lives.
struct SmallDisk {
    mounted_at: PathBuf,
    _image: TempDir,
}

impl SmallDisk {
    /// Mounts one; there is none where that is not possible here.
    fn mount(mounted_at: &Path) -> Option<Self> {
        let image = scratch();
        let file = image.path().join("image");
        File::create(&file).and_then(|it| it.set_len(24 << 20)).expect("an image");
        fs::create_dir_all(mounted_at).expect("a directory");
        let is_mounted = run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &file])
            && run("mount", &["-o".as_ref(), "loop".as_ref(), &file, mounted_at]);
        if is_mounted {
            return Some(Self { mounted_at: mounted_at.to_owned(), _image: image });
        }
        assert!(env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and nothing can be mounted");
        eprintln!(
            "NOT TESTED: no file system can be mounted here (it takes root and loop devices)"
        );
        None
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        assert!(run("mount", &["-o".as_ref(), options.as_ref(), &self.mounted_at]), "{how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever still uses it, it goes when that ends.
        run("umount", &["--lazy".as_ref(), &self.mounted_at]);
    }
}

fn run(program: &str, arguments: &[&Path]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// A place whose data is on a disk of its own, and that disk.
fn place() -> Option<(SmallDisk, Place)> {
    let place = Place::new();
    let disk = SmallDisk::mount(place.store().parent().expect("a parent"))?;
    Some((disk, place))
}

/// Sends a message that cannot be kept, and another when the broker knows: that one is refused. Then `mend`s
/// the disk, and the first is acknowledged.
fn is_refused_until_mended(broker: &Broker, told: &str, mend: impl FnOnce()) {
    let mut publisher = client(broker, "publisher");
    let payload = vec![b'x'; 100_000];
    publisher.send(&publish_with(VERSION, RETAIN, "t/meanwhile", Some(1), &[], &payload));
    broker.process().wait_for_text(Stream::Err, &format!("the store cannot be written: {told}"));
    let mut other = client(broker, "other");
    other.send(&publish_with(VERSION, RETAIN, "t/refused", Some(1), &[], b"refused"));
    assert_eq!(other.expect(PUBACK).body[2], QUOTA_EXCEEDED);
    let (status, text) = http::get(broker.admin_port(), "/readyz");
    assert!(status == 503 && text.contains(told), "{status} {text}");
    assert_eq!(ok(broker).to_bits(), 0.0_f64.to_bits());
    mend();
    assert_eq!(publisher.expect(PUBACK).acknowledged().1 & 0x80, 0);
    broker.process().wait_for_text(Stream::Err, "the store can be written again");
    assert_eq!(http::get(broker.admin_port(), "/readyz").0, 200);
    assert_eq!(ok(broker).to_bits(), 1.0_f64.to_bits());
}

/// What the metrics say of the disk.
fn ok(broker: &Broker) -> f64 {
    http::series(broker.admin_port(), "bastionmq_store_state{state=\"ok\"}")
}

fn topics(broker: &Broker) -> Vec<String> {
    retained(broker, "t/#").into_keys().collect()
}

#[test]
fn a_disk_without_room_refuses_and_is_well_again_when_there_is_some() {
    let Some((disk, place)) = place() else { return };
    let broker = place.start();
    let mut publisher = client(&broker, "first");
    publisher.send(&publish_with(VERSION, RETAIN, "t/before", Some(1), &[], b"before"));
    publisher.expect(PUBACK);
    let filler = disk.mounted_at.join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[0; 4_096]).and_then(|()| file.sync_data()).is_ok() {}
    drop(file);
    is_refused_until_mended(&broker, "the disk is full", || {
        fs::remove_file(&filler).expect("removed");
    });
    kill(broker);
    let broker = place.start();
    assert_eq!(topics(&broker), ["t/before", "t/meanwhile"]);
    stop(broker);
}

#[test]
fn a_first_quickstart_without_room_says_so_and_leaves_nothing_half_made() {
    let directory = scratch();
    let mounted_at = directory.path().join("disk");
    let Some(disk) = SmallDisk::mount(&mounted_at) else { return };
    let filler = disk.mounted_at.join("filler");
    let mut file = File::create(&filler).expect("a file");
    for bytes in [1 << 20, 4_096, 512] {
        let block = vec![0; bytes];
        while file.write_all(&block).is_ok() {}
        // What is left shows once everything is on disk.
        let _ = file.sync_data();
    }
    drop(file);
    let before = fs::read_dir(&mounted_at).expect("a directory").count();
    let quickstart = || {
        let mut command = bastionmq();
        command.args(["quickstart", "--listen", "mqtts://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--dir").arg(mounted_at.join("data"));
        command
    };
    let output = quickstart().output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(errors.contains("No space left") && errors.contains("make room there"), "{errors}");
    assert_eq!(fs::read_dir(&mounted_at).expect("a directory").count(), before);
    fs::remove_file(&filler).expect("removed");
    stop(Broker::start(quickstart(), scratch()));
}

#[test]
fn a_broker_serves_from_a_disk_that_cannot_be_written_to_until_it_can() {
    let Some((disk, place)) = place() else { return };
    let broker = place.start();
    let mut publisher = client(&broker, "first");
    publisher.send(&publish_with(VERSION, RETAIN, "t/before", Some(1), &[], b"before"));
    publisher.expect(PUBACK);
    stop(broker);
    disk.remount("ro");
    let broker = place.start();
    assert_eq!(topics(&broker), ["t/before"]);
    is_refused_until_mended(&broker, "the disk cannot be written to", || disk.remount("rw"));
    stop(broker);
    let broker = place.start();
    assert_eq!(topics(&broker), ["t/before", "t/meanwhile"]);
    stop(broker);
}
