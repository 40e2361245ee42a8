//! What a number may be, where its type alone would allow more.

/// Keys with a narrower range than their type, both ends included.
const LIMITS: [(&str, i64, i64); 47] = [
    // The smallest packets are of 2 bytes; below 16 not even an acknowledgement with a reason fits.
    ("mqtt.max_packet_size", 16, LARGEST_PACKET),
    // There are no others.
    ("mqtt.maximum_qos", 0, 2),
    // The shortest CONNECT that names a client and a user needs no less.
    ("network.max_connect_size", 64, LARGEST_PACKET),
    // More than kernels keep.
    ("network.backlog", 1, 65_535),
    // Faster than any machine accepts.
    ("network.max_connections_per_second", 1, 1_000_000),
    // Threads beyond this cost memory and gain nothing.
    ("network.worker_threads", 0, 1_024),
    // All of them are looked through once a second, and at each change.
    ("bans.max_bans", 1, 100_000),
    // A day.
    ("throttle.seconds", 1, 86_400),
    // Below 16 rules forget what they are about; beyond that they take gigabytes.
    ("sentinel.max_keys", 16, 1 << 22),
    ("sentinel.max_learned_keys", 16, 1 << 22),
    // A day: clocks that are further off are wrong by any measure.
    ("sentinel.clock_skew_seconds", 1, 86_400),
    // 90 days.
    ("sentinel.rule.seconds", 1, 90 * 86_400),
    // 2^50: sums over all sessions stay far from the end of 64 bits.
    ("broker.max_queued_bytes", 1, 1 << 50),
    // Less than a MiB is nothing to share among sessions.
    ("broker.max_queued_memory_bytes", 1 << 20, 1 << 50),
    ("broker.max_queued_total_bytes", 1, 1 << 50),
    ("broker.max_retained_bytes", 1, 1 << 50),
    // Below that rates are forgotten as clients come and go; beyond it they take a quarter of a GiB.
    ("broker.max_idle_throttles", 1_024, 1 << 24),
    // Threads beyond this cost memory and gain nothing.
    ("auth.hashing_threads", 1, 1_024),
    // A year: whoever wants more wants passwords that are never checked.
    ("auth.credential_cache_seconds", 0, 31_536_000),
    // A day and a week: longer ones are an administrator's business.
    ("auth.lockout_seconds", 1, 86_400),
    ("auth.lockout_max_seconds", 1, 604_800),
    // Files that can still be read at once, up to a TiB.
    ("audit.max_file_mib", 1, 1 << 20),
    // As many as such files.
    ("audit.max_total_mib", 0, 1 << 30),
    // A century.
    ("audit.keep_days", 0, 36_500),
    ("log.max_file_mib", 1, 1 << 20),
    ("log.max_total_mib", 0, 1 << 30),
    ("log.keep_days", 0, 36_500),
    // All of them are looked at whenever one is added.
    ("log.keep_files", 0, 100_000),
    // Each is a file descriptor.
    ("admin.max_connections", 1, 10_000),
    ("admin.connection_timeout_seconds", 1, 3_600),
    // Whoever waits behind a thousand has gone.
    ("admin.max_waiting_logins", 1, 1_000),
    // A day: whoever leaves the page open longer logs in again.
    ("admin.login_idle_seconds", 1, 86_400),
    // From what a service on this machine takes to what no client waits for.
    ("http.timeout_ms", 1, 600_000),
    // Each is a connection, and a file descriptor.
    ("http.max_in_flight", 1, 10_000),
    ("http.max_waiting_logins", 1, 1_000_000),
    // A day: until then nobody notices that the service would say something else now.
    ("http.cache_seconds", 0, 86_400),
    ("http.max_cached_answers", 1, 1_000_000),
    ("http.revalidate_seconds", 0, 86_400),
    ("http.max_stale_seconds", 0, 2_592_000),
    ("http.breaker_failures", 1, 1_000_000),
    ("http.breaker_seconds", 1, 86_400),
    ("webhook.timeout_ms", 1, 600_000),
    ("tracing.timeout_ms", 1, 600_000),
    // Each takes up to some KiB.
    ("tracing.max_queued_spans", 1, 1_000_000),
    // More than a collector takes.
    ("tracing.forced_per_second", 0, 1_000_000),
    ("tracing.forced_per_client_per_second", 0, 1_000_000),
    ("tracing.max_deliveries", 0, 1_000_000),
];

/// The fixed header of 5 bytes and the largest Remaining Length (MQTT 5.0 section 1.5.5).
const LARGEST_PACKET: i64 = 268_435_460;

/// Keys of texts that travel in a packet, and their most bytes; far below what a packet could hold.
const TEXTS: [(&str, usize); 2] =
    [("mqtt.response_information", 1_024), ("mqtt.server_reference", 1_024)];

/// What is wrong with `text` as the value of `key`: a packet cannot carry every text
/// `[MQTT-1.5.4-2]`.
pub(super) fn fault_of_text(key: &str, text: &str) -> Option<String> {
    let (_, most) = TEXTS.iter().find(|(name, _)| *name == key)?;
    let is_bad = text.len() > *most || text.contains(char::is_control);
    is_bad.then(|| format!("a text of at most {most} bytes without control characters is needed"))
}

/// The range of `key` (`section.key`) if it is narrower than that of its type.
pub(super) fn range_of(key: &str) -> Option<(i64, i64)> {
    LIMITS.iter().find(|(name, ..)| *name == key).map(|(_, least, most)| (*least, *most))
}

/// What serde expected, in words: a type's name tells an operator nothing.
pub(super) fn in_words(key: &str, expected: &str) -> String {
    let whole = |least: u64, most: u64| format!("a whole number from {least} to {most}");
    // TOML has no greater number.
    const MOST: u64 = i64::MAX as u64;
    if let Some((least, most)) = range_of(key) {
        return format!("a whole number from {least} to {most}");
    }
    match expected {
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "u64" => whole(0, MOST),
        "a nonzero u16" => whole(1, u16::MAX.into()),
        "a nonzero u32" => whole(1, u32::MAX.into()),
        "a nonzero u64" => whole(1, MOST),
        "a boolean" => "true or false".to_owned(),
        "a string" | "string only" | "path string" => "a text in quotes".to_owned(),
        other => other.to_owned(),
    }
}
