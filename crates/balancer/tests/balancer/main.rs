//! The program against an API server of the test's own and proxies that hold to the contract.

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
mod webdriver;
