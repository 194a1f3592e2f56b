//! A command whose standard output is a terminal of a given width.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::ptr;
use std::thread;

/// What a command writes to a terminal that is so many columns wide, with carriage returns left out.
pub(crate) fn on_a_terminal(command: &mut Command, columns: u16) -> String {
    let size = libc::winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: both ends are written by the call and belong to nobody else; a name and attributes are not asked for.
    let (ours, theirs) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, ptr::null_mut(), ptr::null_mut(), &size), 0, "a pseudo-terminal");
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    let mut child = command.env("TERM", "xterm-256color").stdout(theirs).stderr(Stdio::null()).spawn().unwrap();
    // The command still holds the other end; it must be let go here for reading to end.
    command.stdout(Stdio::null());
    let reader = thread::spawn(move || {
        let mut shown = Vec::new();
        let mut ours = File::from(ours);
        let mut buffer = [0; 4096];
        // Where the last writer is gone, a terminal says so by an error.
        while let Ok(count @ 1..) = ours.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(shown).unwrap().replace('\r', "")
    });
    assert!(child.wait().unwrap().success());
    reader.join().unwrap()
}
