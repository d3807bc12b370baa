// The suite's own server on a port of the kernel's choice, which it prints.
//
// It keeps its idle connections open: otherwise it closes them after 5 s, and a client meets the race of every
// keep-alive connection now and then, with a proxy between them or without.

import http from 'node:http'

const listen = http.Server.prototype.listen
http.Server.prototype.listen = function (...where) {
  this.keepAliveTimeout = 0
  return listen.apply(this, where)
}
process.env.npm_config_protocol = 'http'
process.env.npm_config_port = '0'
process.env.npm_config_pidfile = '/dev/null'
await import('http-cache-tests/server/server.mjs')
