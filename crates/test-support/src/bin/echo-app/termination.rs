//! SIGTERM and SIGINT. The kernel does not deliver them to process 1 of a container unless it has a handler.

use std::future::Future;
use std::io;
use std::thread;

use daemon::Termination;

/// Ends the process at the first signal, also while its only worker burns CPU: a thread of its own waits.
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

/// Completes at the first signal.
pub(crate) fn requested() -> io::Result<impl Future<Output = ()>> {
    let mut termination = Termination::watch()?;
    Ok(async move { termination.requested().await })
}
