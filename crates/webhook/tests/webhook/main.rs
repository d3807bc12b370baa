//! The webhook from outside: real sockets, real TLS, the real program.

mod api_server;
mod attacks;
mod balance_keys;
mod chart;
mod command_line;
mod documentation;
mod fake_cluster;
mod no_load;
mod process;
mod resource_constraints;
mod reviews;
mod rotation;
mod running;
mod services;
mod slow_peers;
mod unusable_files;
