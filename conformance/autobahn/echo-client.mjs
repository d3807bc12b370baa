// A WebSocket client that sends every message back, for Autobahn's fuzzing server: every case in turn, then the order
// to write down the verdicts on AGENT.
//
// The server takes only requests that name its own port, so the client says it whatever way it goes.
//
// usage: echo-client.mjs ADDRESS SERVER AGENT

import WebSocket from 'ws'

const [address, server, agent] = process.argv.slice(2)

// One session; the text that it ended with.
function session (path, answer) {
  return new Promise(resolve => {
    const headers = { Host: server }
    const socket = new WebSocket(`ws://${address}${path}`, { headers, perMessageDeflate: true, maxPayload: 0 })
    let last = ''
    socket.on('message', (data, binary) => {
      last = binary ? '' : data.toString()
      if (answer) socket.send(data, { binary })
    })
    socket.on('error', error => { last = String(error) })
    socket.on('close', () => resolve(last))
  })
}

const count = Number(await session('/getCaseCount', false))
if (!(count > 0)) throw new Error(`${address} has no cases`)
for (let number = 1; number <= count; number++) {
  await session(`/runCase?case=${number}&agent=${agent}`, true)
}
await session(`/updateReports?agent=${agent}`, false)
console.log(`${count} cases`)
