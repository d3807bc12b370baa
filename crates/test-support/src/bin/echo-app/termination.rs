//! SIGTERM and SIGINT. As process 1 of a container an app without a handler would not see them at all.

use std::future::Future;
use std::io;
use std::thread;

use daemon::Termination;

/// Ends the process as soon as it is asked to, also while its only worker burns CPU: a thread of its own waits.
pub(crate) fn exit_at_once() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let requested = {
        let _entered = runtime.enter();
        requested()?
    };
    thread::spawn(move || {
        runtime.block_on(requested);
        std::process::exit(0);
    });
    Ok(())
}

/// Completes when the process is asked to end.
pub(crate) fn requested() -> io::Result<impl Future<Output = ()>> {
    let mut termination = Termination::watch()?;
    Ok(async move { termination.requested().await })
}
