// A WebSocket server that sends every message back, for Autobahn's fuzzing client. It prints where it listens.

import { WebSocketServer } from 'ws'

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: true, maxPayload: 0 })
server.on('connection', socket => {
  socket.on('message', (data, binary) => socket.send(data, { binary }))
  // What is wrong with a frame is answered by a close code; nothing else is to be done.
  socket.on('error', () => {})
})
server.on('listening', () => console.log(`listening on ${server.address().port}`))
