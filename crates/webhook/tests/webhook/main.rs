//! The webhook from outside: real sockets, real TLS, the real program.

mod command_line;
mod reviews;
mod running;
