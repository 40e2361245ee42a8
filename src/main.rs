//! The `bastionmq` binary: all of it is in the library, so that tests can reach it.

/// Messages are made by one thread and freed by another, where this allocator measures better than
/// the system's (ARCHITECTURE.md, "Speed").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    bastionmq::cli::main()
}
