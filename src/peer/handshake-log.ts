/** Puts handshakes into words, for programs that want `PeerLogAlert`s. */

import { bytesToBinary, bytesToHex } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { identifyClient } from '../core/fingerprint.ts'
import { readFeatures } from '../wire/handshake.ts'
import type { LogNotice } from './peer-host.ts'

/** Where the lines go. */
export interface HandshakeLogPort {
  readonly logsMessages: boolean
  logMessage(notice: LogNotice): void
}

export function logHandshakeSent(
  port: HandshakeLogPort,
  reserved: Uint8Array,
  infoHash: Uint8Array,
  peerId: Uint8Array,
): void {
  if (!port.logsMessages) return
  log(port, 'outgoingMessage', 'extensions', bitText(reserved))
  log(port, 'outgoing', 'handshake', `sent peer_id: ${bytesToHex(peerId)} client: ${clientOf(peerId)}`)
  log(port, 'outgoingMessage', 'handshake', `ih: ${bytesToHex(infoHash)}`)
}

export function logInfoHash(port: HandshakeLogPort, reserved: Uint8Array): void {
  if (!port.logsMessages) return
  const { dht, fast, v2Upgrade, extended } = readFeatures(reserved)
  const names = `${dht ? 'DHT ' : ''}${fast ? 'FAST ' : ''}${v2Upgrade ? 'v2 ' : ''}${extended ? 'extension ' : ''}`
  log(port, 'incomingMessage', 'extensions', `${bitText(reserved)} ext: ${names}`)
  log(port, 'incoming', 'handshake', 'info_hash received')
}

export function logPeerId(port: HandshakeLogPort, peerId: Uint8Array): void {
  if (!port.logsMessages) return
  const ascii = bytesToBinary(peerId).replace(/[^\x20-\x7e]/g, '.')
  const text = `received peer_id: ${bytesToHex(peerId)} client: ${clientOf(peerId)} ascii: "${ascii}"`
  log(port, 'incoming', 'handshake', text)
}

/** Bits as they lie, the most significant of each byte first. */
export function bitText(bits: Uint8Array): string {
  let text = ''
  for (const byte of bits) text += byte.toString(2).padStart(8, '0')
  return text
}

function log(
  port: HandshakeLogPort,
  direction: LogNotice['direction'],
  event: 'extensions' | 'handshake',
  text: string,
): void {
  port.logMessage({ kind: 'log', direction, event, text })
}

function clientOf(peerId: Uint8Array): string {
  return identifyClient(new Sha1Hash(peerId))
}
