/**
 * The floor of a DHT node: `node:dgram` and a fixed answer of one node. Nothing is parsed, nothing is looked up.
 *
 * Speaks the lines of our-dht.mjs.
 */

import { createSocket } from 'node:dgram'
import { commands, emit } from './lines.mjs'

const head = Buffer.from(`d1:rd2:id20:${'x'.repeat(20)}5:nodes26:${'y'.repeat(26)}e1:t4:`)
const tail = Buffer.from('1:y1:re')
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 })
socket.on('message', (packet, from) => {
  const at = packet.indexOf('1:t4:') + 5
  const answer = Buffer.allocUnsafe(head.length + 4 + tail.length)
  head.copy(answer, 0)
  packet.copy(answer, head.length, at, at + 4)
  tail.copy(answer, head.length + 4)
  socket.send(answer, from.port, from.address)
})
socket.bind(0, '127.0.0.1', () => emit({ event: 'ready', port: socket.address().port }))
for await (const _ of commands());
process.exit()
