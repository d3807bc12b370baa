//! What the tests of this workspace share: scripted peers and a process harness; and the `echo-app` binary, the app
//! behind the proxy in end-to-end tests, benchmarks and the demo. Never shipped.
