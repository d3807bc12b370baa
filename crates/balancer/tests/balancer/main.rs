//! The program with a scripted API server and scripted proxies.

mod api_server;
mod browser;
mod command_line;
mod documentation;
mod faults;
mod fleet;
mod levelling;
mod page;
mod process;
mod proxies;
mod running;
