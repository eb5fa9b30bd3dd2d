#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use rustix::process::{Signal, getpid, kill_process};

use super::*;

#[test]
fn an_error_is_one_line() {
    assert_eq!(one_line("a:\n   b\n\n  c"), "a: b c");
}

#[test]
fn a_command_ends_as_it_went() {
    assert_eq!(run_command(async { Ok::<_, Infallible>(()) }), ExitCode::SUCCESS);
    assert_eq!(run_command(async { Err::<(), _>("no") }), ExitCode::FAILURE);
}

#[test]
fn a_service_ends_as_it_went() {
    for threads in [Threads::One, Threads::Workers(2)] {
        assert_eq!(run_service(threads, |_| async { Ok::<_, Infallible>(()) }), ExitCode::SUCCESS);
        assert_eq!(run_service(threads, |_| async { Err("no") }), ExitCode::FAILURE);
    }
}

/// One test, since signals are for the whole process.
#[test]
fn the_first_signal_asks_and_the_second_insists() {
    for signal in [Signal::TERM, Signal::INT] {
        let polite = run_service(Threads::One, |shutdown| async move {
            kill_process(getpid(), signal).unwrap();
            shutdown.cancelled().await;
            Ok::<_, Infallible>(())
        });
        assert_eq!(polite, ExitCode::SUCCESS);
    }
    let stubborn = run_service(Threads::One, |shutdown| async move {
        kill_process(getpid(), Signal::TERM).unwrap();
        shutdown.cancelled().await;
        kill_process(getpid(), Signal::INT).unwrap();
        std::future::pending::<Result<(), Infallible>>().await
    });
    assert_eq!(stubborn, ExitCode::FAILURE);
}
