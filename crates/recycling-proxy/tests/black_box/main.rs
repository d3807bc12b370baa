//! The promises of the recycling proxy, seen from outside: the real binary between a scripted client and a scripted
//! app. One module for each promise; nothing here knows how the proxy is made.

mod admin;
mod announcement;
mod cli;
mod control;
mod counting;
mod desync;
mod drain;
mod duplex;
mod environment;
mod exchange;
mod faults;
mod forwarded_for;
mod framing;
mod generated;
mod http2_clients;
mod http2_floods;
mod http2_frames;
mod http2_goodbye;
mod http2_stage;
mod leftovers;
mod lingering;
mod long_bodies;
mod metrics;
mod options;
mod pipelining;
mod proxy_protocol;
mod recycling;
mod request_framing;
mod response_framing;
mod shortage;
mod slowness;
mod splits;
mod stage;
mod transparency;
mod tunnel;
