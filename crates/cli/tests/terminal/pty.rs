//! A terminal whose user is a test.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const PAUSE: Duration = Duration::from_millis(10);
/// A minute, longer than any program takes.
const MOST_PAUSES: usize = 6000;

/// A program on a terminal of its own.
pub(crate) struct Terminal {
    /// The end that a terminal emulator has.
    master: File,
    written: Arc<Mutex<Vec<u8>>>,
    program: Child,
}

impl Terminal {
    /// Starts a program as the foreground job of a terminal of 24 lines and 80 columns.
    pub(crate) fn start(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        resize(&master, 24, 80);
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let slave = || Stdio::from(slave.try_clone().unwrap());
        // The terminal sends signals to the job of the session that it controls.
        let mut command = Command::new("setsid");
        command.args(["--ctty", program]).args(arguments).env_remove("NO_COLOR").envs(variables.iter().copied());
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        drop(command);
        let master = File::from(master);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, into) = (master.try_clone().unwrap(), Arc::clone(&written));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When the last process has left the terminal, reading fails (EIO).
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                into.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self { master, written, program: child }
    }

    /// Returns what the program has written so far.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until the program has written so much that this is so.
    pub(crate) fn wait_until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        for _ in 0..MOST_PAUSES {
            if is_so(&self.written()) {
                return;
            }
            thread::sleep(PAUSE);
        }
        panic!("not in time: {what}: {:?}", self.written());
    }

    /// Types a key.
    pub(crate) fn press(&mut self, key: u8) {
        self.master.write_all(&[key]).unwrap();
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        resize(&self.master, rows, columns);
    }

    /// Waits for the end of the program.
    pub(crate) fn end(&mut self) -> ExitStatus {
        for _ in 0..MOST_PAUSES {
            if let Some(status) = self.program.try_wait().unwrap() {
                return status;
            }
            thread::sleep(PAUSE);
        }
        panic!("it does not end: {:?}", self.written());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only where it has already ended.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn resize(terminal: impl rustix::fd::AsFd, rows: u16, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}
