//! The webhook from outside: real sockets, real TLS, the real program.

mod chart;
mod command_line;
mod documentation;
mod reviews;
mod rotation;
mod running;
mod slow;
mod world;
