//! The webhook from outside: real sockets, real TLS, the real program.

mod api_server;
mod attacks;
mod balance_keys;
mod chart;
mod command_line;
mod demands;
mod documentation;
mod no_load;
mod process;
mod reviews;
mod rotation;
mod running;
mod services;
mod slow;
mod world;
