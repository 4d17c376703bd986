//! What the numbers were measured on: cores, memory, kernel, disk, limits. Never a name of a host.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// How often the disk is asked for its word.
const SYNCS: usize = 200;

/// Describes the machine in one line of Markdown.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = line_of("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: String = kernel.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    format!(
        "{cores} cores ({model}), {:.0} GB of memory, Linux {kernel}; client and servers on the same machine, \
         loopback, no TLS",
        memory.unwrap_or_default() / 1e6
    )
}

/// Returns the load average of the last minute.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Returns how long this thread, which is the whole generator, has been on a processor. Unit: nanoseconds.
pub fn own_cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
}

/// Returns the text behind the colon of the first line that starts with `key`.
fn line_of(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Lets this process and its children open as many files as the system allows; says what that changed.
pub fn raise_open_files() -> Result<String> {
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })
        .context("failed to raise the number of open files")?;
    let show = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    Ok(format!("open files of client and servers: {} -> {}", show(before.current), show(before.maximum)))
}

/// Returns the median and the 99th percentile of `fdatasync` after 4 KB appended in `folder`. Unit: milliseconds.
pub fn sync_ms(folder: &Path) -> Result<(f64, f64)> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[7; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(&path)?;
    took.sort_by(f64::total_cmp);
    Ok((took[SYNCS / 2], took[SYNCS * 99 / 100]))
}
