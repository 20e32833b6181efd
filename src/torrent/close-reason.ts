/** The reason for closing that a peer is told over uTP, and alerts carry, by error. */

import { CloseReason } from '../core/enums.ts'
import { type ErrorCode, libtorrentCategory, systemCategory } from '../core/error-code.ts'
import { LibtorrentErrors as E } from '../core/error-table.ts'

const REASONS = new Map<number, CloseReason>([
  [E.invalidSwarmMetadata, CloseReason.invalidMetadata],
  [E.sessionIsClosing, CloseReason.torrentRemoved],
  [E.peerSentEmptyPiece, CloseReason.invalidPieceMessage],
  [E.mismatchingInfoHash, CloseReason.invalidInfoHash],
  [E.portBlocked, CloseReason.portBlocked],
  [E.destructingTorrent, CloseReason.torrentRemoved],
  [E.timedOut, CloseReason.timeout],
  [E.uploadUploadConnection, CloseReason.uploadToUpload],
  [E.uninterestingUploadPeer, CloseReason.notInterestedUploadOnly],
  [E.invalidInfoHash, CloseReason.invalidInfoHash],
  [E.torrentPaused, CloseReason.torrentRemoved],
  [E.invalidHave, CloseReason.invalidHaveMessage],
  [E.invalidBitfieldSize, CloseReason.invalidBitfieldMessage],
  [E.tooManyRequestsWhenChoked, CloseReason.requestWhenChoked],
  [E.invalidPiece, CloseReason.invalidPieceMessage],
  [E.invalidPieceSize, CloseReason.invalidPieceMessage],
  [E.noMemory, CloseReason.noMemory],
  [E.torrentAborted, CloseReason.torrentRemoved],
  [E.selfConnection, CloseReason.selfConnection],
  [E.timedOutNoInterest, CloseReason.timedOutInterest],
  [E.timedOutInactivity, CloseReason.timedOutActivity],
  [E.timedOutNoHandshake, CloseReason.timedOutHandshake],
  [E.timedOutNoRequest, CloseReason.timedOutRequest],
  [E.invalidChoke, CloseReason.invalidChokeMessage],
  [E.invalidUnchoke, CloseReason.invalidUnchokeMessage],
  [E.invalidInterested, CloseReason.invalidInterestedMessage],
  [E.invalidNotInterested, CloseReason.invalidNotInterestedMessage],
  [E.invalidRequest, CloseReason.invalidRequestMessage],
  [E.invalidHashList, CloseReason.invalidMessage],
  [E.invalidHashPiece, CloseReason.invalidMessage],
  [E.invalidCancel, CloseReason.invalidCancelMessage],
  [E.invalidDhtPort, CloseReason.invalidDhtPortMessage],
  [E.invalidSuggest, CloseReason.invalidSuggestMessage],
  [E.invalidHaveAll, CloseReason.invalidHaveAllMessage],
  [E.invalidHaveNone, CloseReason.invalidHaveNoneMessage],
  [E.invalidReject, CloseReason.invalidRejectMessage],
  [E.invalidAllowFast, CloseReason.invalidAllowFastMessage],
  [E.invalidExtended, CloseReason.invalidExtendedMessage],
  [E.invalidMessage, CloseReason.invalidMessageId],
  [E.syncHashNotFound, CloseReason.encryptionError],
  [E.invalidEncryptionConstant, CloseReason.encryptionError],
  [E.noPlaintextMode, CloseReason.protocolBlocked],
  [E.noRc4Mode, CloseReason.protocolBlocked],
  [E.unsupportedEncryptionModeSelected, CloseReason.protocolBlocked],
  [E.invalidPadSize, CloseReason.encryptionError],
  [E.invalidEncryptHandshake, CloseReason.encryptionError],
  [E.noIncomingEncrypted, CloseReason.protocolBlocked],
  [E.noIncomingRegular, CloseReason.protocolBlocked],
  [E.duplicatePeerId, CloseReason.duplicatePeerId],
  [E.torrentRemoved, CloseReason.torrentRemoved],
  [E.packetTooLarge, CloseReason.messageTooBig],
  [E.torrentNotReady, CloseReason.torrentRemoved],
  [E.sessionClosing, CloseReason.torrentRemoved],
  [E.optimisticDisconnect, CloseReason.peerChurn],
  [E.torrentFinished, CloseReason.uploadToUpload],
  [E.tooManyCorruptPieces, CloseReason.corruptPieces],
  [E.tooManyConnections, CloseReason.tooManyConnections],
  [E.peerBanned, CloseReason.blocked],
  [E.stoppingTorrent, CloseReason.torrentRemoved],
  [E.metadataTooLarge, CloseReason.metadataTooBig],
  [E.invalidMetadataSize, CloseReason.metadataTooBig],
  [E.invalidMetadataRequest, CloseReason.invalidMetadataRequestMessage],
  [E.invalidMetadataOffset, CloseReason.invalidMetadataOffset],
  [E.invalidMetadataMessage, CloseReason.invalidMetadataMessage],
  [E.pexMessageTooLarge, CloseReason.pexMessageTooBig],
  [E.invalidPexMessage, CloseReason.invalidPexMessage],
  [E.invalidLtTrackerMessage, CloseReason.invalidMessage],
  [E.tooFrequentPex, CloseReason.pexTooFrequent],
  [E.invalidDontHave, CloseReason.invalidDontHaveMessage],
  [E.requiresSslConnection, CloseReason.protocolBlocked],
  [E.invalidSslCert, CloseReason.blocked],
  [E.notAnSslTorrent, CloseReason.blocked],
  [E.bannedByPortFilter, CloseReason.portBlocked],
])

const ENOMEM = 12
const ETIMEDOUT = 110
const EMFILE = 24

export function closeReason(error: ErrorCode): CloseReason {
  if (error.category() === libtorrentCategory()) return REASONS.get(error.value()) ?? CloseReason.none
  if (error.category() !== systemCategory()) return CloseReason.none
  if (error.value() === ETIMEDOUT) return CloseReason.timeout
  if (error.value() === ENOMEM) return CloseReason.noMemory
  return error.value() === EMFILE ? CloseReason.tooManyFiles : CloseReason.none
}
