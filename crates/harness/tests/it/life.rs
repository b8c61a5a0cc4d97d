//! Signals, stalls, panics and the admin port.

use std::time::{Duration, Instant};

use crate::process::{Echo, PATIENCE, echo, eventually, output};

#[test]
fn sigterm_drains_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut echo = Echo::start(&[]);
        echo.wait_ready();
        echo.signal(signal);
        let status = echo.wait();
        let log = echo.log();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("finished what was begun"), "{log}");
        assert!(log.contains(&format!("signal SIG{signal}")), "{log}");
    }
}

#[test]
fn a_second_signal_exits_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut echo = Echo::start(&["--behave", "stubborn"]);
        echo.wait_ready();
        echo.signal("TERM");
        eventually("it drains", || echo.get("/ready").1.contains("\"draining\":true").then_some(()));
        echo.signal(signal);
        let status = echo.wait();
        assert_eq!(status.code(), Some(code), "{}", echo.log());
    }
}

#[test]
fn not_ready_but_still_answering_while_it_drains() {
    let echo = Echo::start(&["--behave", "stubborn"]);
    echo.wait_ready();
    echo.signal("TERM");
    let body = eventually("it is not ready", || Some(echo.get("/ready")).filter(|(status, _)| *status == 503)).1;
    let report: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(report["draining"], true);
    assert_eq!(report["checks"]["assigned"]["ok"], true);
    assert_eq!(echo.get("/live").0, 200);
}

#[test]
fn a_drain_that_takes_too_long_ends_with_1_and_says_what_was_running() {
    let mut echo = Echo::start(&["--behave", "stubborn", "--set", "shutdown_timeout=300ms"]);
    echo.wait_ready();
    let asked = Instant::now();
    echo.signal("TERM");
    assert_eq!(echo.wait().code(), Some(1));
    assert!(asked.elapsed() >= Duration::from_millis(300));
    let log = echo.log();
    assert!(log.contains("shutdown took too long") && log.contains("echo/worker"), "{log}");
}

#[test]
fn a_stalled_task_drains_and_exits_with_1() {
    let mut echo = Echo::start(&["--behave", "stall", "--set", "stall_timeout=200ms"]);
    assert_eq!(echo.wait().code(), Some(1));
    let log = echo.log();
    assert!(log.contains("task stalled, shutting down") && log.contains("echo/loop"), "{log}");
    assert!(log.contains("finished what was begun"), "the drain is the same as for a signal: {log}");
}

#[test]
fn a_service_that_blocks_its_runtime_still_answers_and_hears_signals() {
    let mut echo = Echo::start(&["--behave", "block", "--set", "shutdown_timeout=200ms"]);
    assert_eq!(echo.get("/live").0, 200);
    assert_eq!(echo.get("/ready").0, 503);
    echo.signal("TERM");
    assert_eq!(echo.wait().code(), Some(1), "{}", echo.log());
}

#[test]
fn errors_and_panics_exit_with_1_and_say_why() {
    for (behave, why) in [
        ("fail", "told to fail"),
        ("panic", "echo panicked: told to panic"),
        ("thread_panic", "the thread `echo/worker` panicked: told to panic in a thread"),
    ] {
        let (code, stdout, stderr) = output(echo().args(["--admin", "off", "--behave", behave]));
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
        assert_eq!(stdout, "");
        // Said even where the log hides errors.
        let (_, _, stderr) = output(echo().args(["--admin", "off", "--behave", behave, "--log-level", "off"]));
        assert!(stderr.contains(why), "{stderr}");
    }
}

#[test]
fn until_end_prints_its_summary_as_the_only_line_on_standard_output() {
    let (code, stdout, stderr) = output(echo().args(["--admin", "off", "--until-end", "--brokers", "here:1"]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout, "{\"beats\":0,\"brokers\":\"here:1\"}\n");
    let (code, stdout, _) = output(echo().args(["--admin", "off", "--behave", "return"]));
    assert_eq!((code, stdout.as_str()), (0, ""));
}

#[test]
fn a_taken_admin_port_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = output(echo().args(["--admin", &addr]));
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("cannot open the admin port {addr}")), "{stderr}");
    assert!(stderr.contains("--admin") && stderr.contains("in use"), "{stderr}");
}

#[test]
fn ready_lists_each_check_with_its_reason() {
    let echo = Echo::start(&["--behave", "unready"]);
    let body =
        eventually("both checks are there", || Some(echo.get("/ready").1).filter(|body| body.contains("told not")));
    let report: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "ready": false,
        "draining": false,
        "checks": {"assigned": {"ok": false, "reason": "told not to be ready"}, "quiet": {"ok": true}},
    });
    assert_eq!(report, expected);
    assert_eq!(echo.get("/ready").0, 503);
}

#[test]
fn metrics_are_there_from_the_start_with_those_of_the_process() {
    let echo = Echo::start(&["--behave", "unready"]);
    let text = eventually("the loop turns", || {
        Some(echo.get("/metrics").1).filter(|text| text.contains("finflow_echo_loops_total"))
    });
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_threads"] {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        assert!(name.contains("cpu") || !line.ends_with(" 0"), "{line}");
    }
    assert!(text.contains("# TYPE process_cpu_seconds_total counter"), "{text}");
    assert!(text.contains("finflow_build_info{service=\"echo\",version=\""), "{text}");
}

#[test]
fn the_log_level_changes_while_it_runs() {
    let echo = Echo::start(&[]);
    echo.wait_ready();
    assert_eq!(echo.get("/log-level"), (200, "info\n".to_owned()));
    assert!(!echo.log().contains("\"level\":\"DEBUG\""));
    assert_eq!(echo.put("/log-level", "info,echo=debug\n").0, 200);
    eventually("a debug line", || echo.log().contains("\"level\":\"DEBUG\"").then_some(()));
    let (status, why) = echo.put("/log-level", "loud,=");
    assert_eq!(status, 400);
    assert!(why.contains("is not a log level"), "{why}");
    assert_eq!(echo.put("/log-level", &"x".repeat(10_000)).0, 413);
    assert_eq!(echo.get("/log-level").1.trim(), "echo=debug,info");
}

#[test]
fn logs_are_json_lines_without_a_terminal_and_readable_when_asked() {
    let (_, _, stderr) = output(echo().args(["--admin", "off", "--behave", "thread_panic"]));
    for line in stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let (_, _, stderr) = output(echo().args(["--admin", "off", "--behave", "return", "--set", "log.format=human"]));
    assert!(stderr.contains(" INFO "), "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "no colour where there is no terminal: {stderr}");
}

#[test]
fn ends_soon_after_it_is_asked() {
    let mut echo = Echo::start(&[]);
    echo.wait_ready();
    let asked = Instant::now();
    echo.signal("TERM");
    echo.wait();
    assert!(asked.elapsed() < PATIENCE / 4, "{:?}", asked.elapsed());
}
