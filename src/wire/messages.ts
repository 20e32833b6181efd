/** Ids, sizes and limits of the peer wire messages (BEP 3, 5, 6, 10, 52). */

/** First byte of every message but the keep-alive. */
export const MessageId = Object.freeze({
  choke: 0,
  unchoke: 1,
  interested: 2,
  notInterested: 3,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  dhtPort: 9,
  // BEP 6
  suggest: 13,
  haveAll: 14,
  haveNone: 15,
  reject: 16,
  allowedFast: 17,
  // BEP 10
  extended: 20,
  // BEP 52
  hashRequest: 21,
  hashes: 22,
  hashReject: 23,
} as const)
export type MessageId = (typeof MessageId)[keyof typeof MessageId]

/** Longest message that is accepted, counted without its length prefix: libtorrent's 1 MiB. */
export const MAX_MESSAGE_LENGTH = 1024 * 1024

/** The length prefix. */
export const PREFIX_SIZE = 4
/** `request`, `cancel` and `reject` whole: length, id, piece, begin, length. */
export const REQUEST_SIZE = 17
/** Length of a message that is an id only. */
export const EMPTY_LENGTH = 1
/** Length of `hash request` and `hash reject`, and of `hashes` before its hashes: id, root, four integers. */
export const HASH_HEADER_LENGTH = 49

/** Extended message id of the extended handshake. @see BEP 10 */
export const EXTENDED_HANDSHAKE_ID = 0
