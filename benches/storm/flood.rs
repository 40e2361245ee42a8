//! The flood: connections of an address that has used up its budget, as many a second as are asked for, while
//! the flow of messages between two clients of another address is timed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use rustix::io::Errno;
use rustix::net::connect_unspec;
use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, Socket, Type};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use super::Args;
use super::broker::Home;
use super::flow::{Flow, Latencies};

/// By how much the flow may be slower.
const MOST_TIMES_QUIET: f64 = 2.0;
/// The part of what was asked for that has to have come: else something else was measured.
const LEAST_OF_RATE: f64 = 0.95;
/// Of so many connections one may be let in: an address always has some.
const LET_IN: u64 = 100;
/// The flow is of 127.0.0.1.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const THREADS: u32 = 2;
/// Connections of a thread that are open, or were, before it gives up the first of them: by then the broker
/// has refused it.
const OPEN: usize = 512;
/// How often a thread makes the connections that are due.
const TURN: Duration = Duration::from_millis(1);
const UNDER_WAY: i32 = Errno::INPROGRESS.raw_os_error();
/// One in so many is looked at, whether it was refused.
const LOOKED_AT: u64 = 64;

type Percentile = fn(&Latencies) -> Duration;

/// What an attacker has done.
#[derive(Default)]
struct Done {
    connections: u64,
    /// How many were looked at, and how many of these had been let in.
    looked_at: u64,
    let_in: u64,
    cpu: Duration,
}

/// What all rounds together have come to.
#[derive(Default)]
struct Measured {
    quiet: Latencies,
    beside: Latencies,
    during: Latencies,
    done: Done,
    took: Duration,
    /// Of the broker, while nobody and while somebody attacked it.
    at_rest: Duration,
    busy: Duration,
}

/// Measures, and prints a table; whether the flow was within its limit. A machine that is slower for a while
/// is so in all three that alternate.
pub(crate) fn run(home: &Home, args: &Args, per_second: u32) -> anyhow::Result<bool> {
    let broker = home.start()?;
    let flow = Flow::begin(broker.port(), args.rate)?;
    let time = Duration::from_secs(args.quiet_seconds);
    let nobody = deaf_listener()?;
    let port = nobody.local_addr()?.as_socket().context("no port")?.port();
    // What starting has cost is over, and the budget of the attacker used up.
    let (warm, _) = flow.during(|| attack(broker.port(), per_second, Duration::from_secs(2)));
    warm?;
    let mut all = Measured::default();
    for _ in 0..args.rounds {
        let before = broker.cpu_time();
        let ((), quiet) = flow.during(|| thread::sleep(time));
        all.at_rest += broker.cpu_time() - before;
        let (elsewhere, beside) = flow.during(|| attack(port, per_second, time));
        elsewhere?;
        let (begin, before) = (Instant::now(), broker.cpu_time());
        let (done, during) = flow.during(|| attack(broker.port(), per_second, time));
        all.took += begin.elapsed();
        all.busy += broker.cpu_time() - before;
        all.done.add(done?);
        all.quiet.add(quiet);
        all.beside.add(beside);
        all.during.add(during);
    }
    flow.end()?;
    broker.stop()?;
    let is_flood = all.print_attempts(per_second);
    Ok(all.is_within_limits() && is_flood)
}

/// A listener that hears nobody, and is full at once: what the attack itself costs this machine.
fn deaf_listener() -> anyhow::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(1)?;
    Ok(socket)
}

impl Measured {
    /// Prints what an attempt has cost; whether all of them were the flood that was asked for.
    fn print_attempts(&self, per_second: u32) -> bool {
        let Self { done, took, at_rest, busy, .. } = self;
        let count = done.connections as f64;
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
        println!("| attempts a second | CPU for each: broker | attacker |");
        println!("|---:|---:|---:|");
        let rate = count / took.as_secs_f64();
        let (own, others) = (micros(busy.saturating_sub(*at_rest)), micros(done.cpu));
        println!("| {rate:.0} of {per_second} | {own:.1} µs | {others:.1} µs |\n");
        let is_flood =
            rate >= f64::from(per_second) * LEAST_OF_RATE && done.let_in <= done.looked_at / LET_IN;
        if !is_flood {
            println!(
                "this was no such flood: {} of {} that were looked at had been let in\n",
                done.let_in, done.looked_at
            );
        }
        is_flood
    }

    /// Prints how the flow was, and says whether that is good enough. A machine that is as busy with an attack
    /// on somebody else is what a broker can be compared with, where it is slower for that.
    fn is_within_limits(&self) -> bool {
        println!(
            "| flow | quiet | others are flooded | the broker is | times quiet | times others |"
        );
        println!("|---|---:|---:|---:|---:|---:|");
        let of: [(_, Percentile); 2] = [("p50", Latencies::p50), ("p99", Latencies::p99)];
        of.iter().fold(true, |is_good, (name, of)| {
            let (quiet, beside, during) = (of(&self.quiet), of(&self.beside), of(&self.during));
            let (times, times_beside) =
                (during.div_duration_f64(quiet), during.div_duration_f64(beside));
            println!(
                "| {name} | {quiet:.1?} | {beside:.1?} | {during:.1?} | {times:.2} | {times_beside:.2} |"
            );
            is_good && times.min(times_beside) <= MOST_TIMES_QUIET
        })
    }
}

impl Done {
    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.looked_at += other.looked_at;
        self.let_in += other.let_in;
        self.cpu += other.cpu;
    }
}

/// Connects so often a second, for so long.
fn attack(port: u16, per_second: u32, time: Duration) -> anyhow::Result<Done> {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let is_over = Arc::new(AtomicBool::new(false));
    let between = Duration::from_secs(1) * THREADS / per_second;
    let threads: Vec<JoinHandle<_>> = (0..THREADS)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || connect_again_and_again(target, between, &is_over))
        })
        .collect();
    thread::sleep(time);
    is_over.store(true, Ordering::Release);
    let mut all = Done::default();
    for thread in threads {
        all.add(thread.join().map_err(|_| anyhow!("an attacker has panicked"))??);
    }
    ensure!(all.connections > 0, "nobody has attacked");
    Ok(all)
}

fn connect_again_and_again(
    target: SocketAddr,
    between: Duration,
    is_over: &AtomicBool,
) -> anyhow::Result<Done> {
    // The attacker is not what is measured, and would be on machines of its own: the flow goes before it.
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    let (begin, mut done) = (Instant::now(), Done::default());
    let sockets = (0..OPEN).map(|_| socket()).collect::<anyhow::Result<Vec<_>>>()?;
    let mut oldest = sockets.iter().cycle();
    while !is_over.load(Ordering::Acquire) {
        let due = begin.elapsed().div_duration_f64(between) as u64;
        while done.connections < due && !is_over.load(Ordering::Relaxed) {
            let socket = oldest.next().context("no socket")?;
            if done.connections >= OPEN as u64 {
                if done.connections.is_multiple_of(LOOKED_AT) {
                    done.looked_at += 1;
                    done.let_in += u64::from(socket.peer_addr().is_ok());
                }
                connect_unspec(socket).context("cannot give up an attempt")?;
            }
            connect(socket, target)?;
            done.connections += 1;
        }
        thread::sleep(TURN);
    }
    done.cpu = cpu_time_of_this_thread();
    Ok(done)
}

/// One that is used again and again: an attacker who makes each anew only spends more itself.
fn socket() -> anyhow::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((ATTACKER, 0)).into())?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// An attempt, whose answer this does not wait for.
fn connect(socket: &Socket, target: SocketAddr) -> anyhow::Result<()> {
    match socket.connect(&target.into()) {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(UNDER_WAY) => Ok(()),
        // It was reset at once.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error).context("the broker does not listen any more"),
    }
}

fn cpu_time_of_this_thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
