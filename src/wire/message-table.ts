/** What can be said of a message by its id alone: fixed lengths, required extensions, and libtorrent's errors. */

import { LibtorrentErrors } from '../core/error-table.ts'
import { EMPTY_LENGTH, HASH_HEADER_LENGTH, MessageId } from './messages.ts'

/** Length of the messages with a fixed one, by id; -1 for the others. */
export const FIXED_LENGTH = new Int32Array(256).fill(-1)
/** Error if the length is not the fixed one, by id. */
export const LENGTH_ERROR = new Int32Array(256)
/** 1: needs the fast extension; 2: needs a v2 torrent. */
export const NEEDS = new Uint8Array(256)
export const NEEDS_FAST = 1
export const NEEDS_V2 = 2

function fixed(id: MessageId, length: number, error: LibtorrentErrors, needs = 0): void {
  FIXED_LENGTH[id] = length
  LENGTH_ERROR[id] = error
  NEEDS[id] = needs
}
fixed(MessageId.choke, EMPTY_LENGTH, LibtorrentErrors.invalidChoke)
fixed(MessageId.unchoke, EMPTY_LENGTH, LibtorrentErrors.invalidUnchoke)
fixed(MessageId.interested, EMPTY_LENGTH, LibtorrentErrors.invalidInterested)
fixed(MessageId.notInterested, EMPTY_LENGTH, LibtorrentErrors.invalidNotInterested)
fixed(MessageId.have, 5, LibtorrentErrors.invalidHave)
fixed(MessageId.request, 13, LibtorrentErrors.invalidRequest)
fixed(MessageId.cancel, 13, LibtorrentErrors.invalidCancel)
fixed(MessageId.dhtPort, 3, LibtorrentErrors.invalidDhtPort)
fixed(MessageId.suggest, 5, LibtorrentErrors.invalidSuggest, NEEDS_FAST)
fixed(MessageId.haveAll, EMPTY_LENGTH, LibtorrentErrors.invalidHaveAll, NEEDS_FAST)
fixed(MessageId.haveNone, EMPTY_LENGTH, LibtorrentErrors.invalidHaveNone, NEEDS_FAST)
fixed(MessageId.reject, 13, LibtorrentErrors.invalidReject, NEEDS_FAST)
fixed(MessageId.allowedFast, 5, LibtorrentErrors.invalidAllowFast, NEEDS_FAST)
fixed(MessageId.hashRequest, HASH_HEADER_LENGTH, LibtorrentErrors.invalidHashRequest, NEEDS_V2)
fixed(MessageId.hashReject, HASH_HEADER_LENGTH, LibtorrentErrors.invalidHashReject, NEEDS_V2)
NEEDS[MessageId.hashes] = NEEDS_V2
