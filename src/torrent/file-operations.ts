/** What can be done to the files of a torrent while it runs: move, rename, prioritise, delete. */

import {
  FileErrorAlert,
  FilePrioAlert,
  FileRenamedAlert,
  FileRenameFailedAlert,
  StorageMovedAlert,
  StorageMovedFailedAlert,
  TorrentDeletedAlert,
  TorrentDeleteFailedAlert,
} from '../alert/storage-alerts.ts'
import type { FileIndex } from '../core/brands.ts'
import { DownloadPriority, type MoveFlags, ProtocolVersion } from '../core/enums.ts'
import { ErrorCode, libtorrentError, NO_ERROR } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { RenamedFiles } from '../metainfo/renamed-files.ts'
import type { Content } from './content.ts'
import { applyPiecePriorities, clampPriority } from './priorities.ts'
import { sharedFiles } from './shared-files.ts'
import type { Torrent } from './torrent.ts'
import { TorrentStatus } from './torrent-status.ts'

export class FileOperations {
  readonly #torrent: Torrent
  readonly renamed = new RenamedFiles()
  savePath: string
  readonly partFileDir: string
  moving = false
  #renames: Readonly<Record<number, string>>

  constructor(torrent: Torrent, params: AddTorrentParams) {
    this.#torrent = torrent
    this.savePath = params.savePath
    this.partFileDir = params.partFileDir
    this.#renames = params.renamedFiles
  }

  /** The metadata has names twice: files get these, unless the user has named them. */
  foundDuplicates(renamed: Readonly<Record<number, string>>): void {
    this.#renames = { ...renamed, ...this.#renames }
  }

  openStorage(content: Content): void {
    const torrent = this.#torrent
    const files = content.files
    this.renamed.importFilenames(files, this.#renames)
    const paths = new Map<FileIndex, string>()
    for (const index of Object.keys(this.renamed.exportFilenames(files))) {
      paths.set(Number(index), this.renamed.filePath(files, Number(index)))
    }
    const hashes = torrent.infoHashes
    const version = hashes.hasV1() ? ProtocolVersion.V1 : ProtocolVersion.V2
    content.storage = torrent.env.disk.addStorage({
      files,
      renamed: paths,
      savePath: this.savePath,
      partFileDir: this.partFileDir,
      partFileName: `.${hashes.get(version)}.parts`,
      mode: torrent.storageMode,
      filePriorities: content.priorities.raw(),
    })
    torrent.env.registry.filesKnown(torrent)
  }

  /** Path of a file, or of what `TorrentStatus.errorFile...` stands for. */
  describe(file: number): string {
    const { content } = this.#torrent
    if (content !== null && file >= 0 && file < content.files.numFiles()) {
      return this.renamed.filePath(content.files, file, this.savePath)
    }
    switch (file) {
      case TorrentStatus.errorFileSslCtx:
        return 'SSL Context'
      case TorrentStatus.errorFileMetadata:
        return 'metadata (from user load function)'
      case TorrentStatus.errorFileException:
        return 'exception'
      case TorrentStatus.errorFilePartfile:
        return 'partfile'
      default:
        return ''
    }
  }

  /** Per file the path of a file of another torrent with the same content, empty for none: they share it. */
  links(): string[] {
    return sharedFiles(this.#torrent)
  }

  move(path: string, flags: MoveFlags): void {
    const torrent = this.#torrent
    const { alerts, disk, turn } = torrent.env
    if (torrent.aborted) {
      this.#moveFailed(new ErrorCode(ECANCELED), '', Operation.unknown)
      return
    }
    const storage = torrent.content?.storage ?? null
    if (storage === null) {
      const before = this.savePath
      this.savePath = path
      torrent.needSave.config()
      if (alerts.wants(StorageMovedAlert)) alerts.post(new StorageMovedAlert(torrent, path, before))
      return
    }
    torrent.content!.spill()
    this.moving = true
    torrent.stateUpdated()
    disk.moveStorage(storage, path, flags, (error, newPath, needFullCheck) =>
      turn.run('move storage', () => {
        this.moving = false
        const before = this.savePath
        this.savePath = newPath
        if (newPath !== before) torrent.needSave.config()
        torrent.stateUpdated()
        if (error !== null) this.#moveFailed(error.code, this.describe(error.file), error.operation)
        else if (alerts.wants(StorageMovedAlert)) alerts.post(new StorageMovedAlert(torrent, newPath, before))
        if (error === null && needFullCheck) torrent.checker.forceRecheck()
      }),
    )
  }

  #moveFailed(error: ErrorCode, path: string, operation: Operation): void {
    const { alerts } = this.#torrent.env
    if (alerts.wants(StorageMovedFailedAlert)) {
      alerts.post(new StorageMovedFailedAlert(this.#torrent, error, path, operation))
    }
  }

  rename(file: FileIndex, name: string): void {
    const torrent = this.#torrent
    const { alerts, disk, turn } = torrent.env
    const { content } = torrent
    if (content === null || content.storage === null || content.geometry.file(file) === null) {
      if (alerts.wants(FileRenameFailedAlert)) {
        const error =
          content === null
            ? libtorrentError(LibtorrentErrors.noMetadata)
            : libtorrentError(LibtorrentErrors.sessionIsClosing)
        alerts.post(new FileRenameFailedAlert(torrent, file, error))
      }
      return
    }
    const before = this.renamed.filePath(content.files, file)
    disk.renameFile(content.storage, file, name, error =>
      turn.run('rename file', () => {
        if (error !== null) {
          alerts.post(new FileRenameFailedAlert(torrent, file, error.code))
          return
        }
        this.renamed.renameFile(content.files, file, name)
        torrent.needSave.config()
        alerts.post(new FileRenamedAlert(torrent, file, name, before))
      }),
    )
  }

  // ---- priorities --------------------------------------------------------------------------------

  prioritizeFiles(priorities: readonly number[]): void {
    const { content } = this.#torrent
    if (content === null) {
      if (this.#torrent.added !== null) this.#torrent.added.filePriorities = priorities.map(clampPriority)
      this.#torrent.needSave.config()
      return
    }
    this.#toStorage(content, content.priorities.prioritizeFiles(priorities))
  }

  setFilePriority(file: FileIndex, priority: number): void {
    const { content, added } = this.#torrent
    if (content === null) {
      if (added === null || file < 0) return
      const before = added.filePriorities.slice()
      while (before.length <= file) before.push(DownloadPriority.defaultPriority)
      before[file] = clampPriority(priority)
      this.prioritizeFiles(before)
      return
    }
    const next = content.priorities.setFilePriority(file, priority)
    if (next !== null) this.#toStorage(content, next)
  }

  #toStorage(content: Content, priorities: readonly number[]): void {
    const torrent = this.#torrent
    const { disk, turn, alerts } = torrent.env
    this.#applyToPieces(content)
    torrent.needSave.config()
    content.spill()
    disk.setFilePriorities(content.storage!, priorities, (error, inForce) =>
      turn.run('file priorities', () => {
        const { changed, next } = content.priorities.storageUpdated(inForce)
        if (changed) torrent.needSave.config()
        if (torrent.aborted) return
        if (error !== null) {
          this.#applyToPieces(content)
          if (alerts.wants(FileErrorAlert)) {
            alerts.post(new FileErrorAlert(torrent, error.code, this.describe(error.file), error.operation))
          }
          torrent.errors.set(error.code, error.file)
          torrent.pause(false)
          return
        }
        if (alerts.wants(FilePrioAlert)) alerts.post(new FilePrioAlert(torrent))
        if (next !== null) this.#toStorage(content, next)
      }),
    )
    disk.submit()
  }

  #applyToPieces(content: Content): void {
    const torrent = this.#torrent
    if (content.haveAll && content.picker === null && content.priorities.allDefault) return
    const picker = torrent.needPicker()
    const wasFinished = torrent.isFinished
    const changed = applyPiecePriorities(picker, content.priorities.piecePriorities(), picker.numPieces)
    if (changed) torrent.completion.wantedChanged(wasFinished)
  }

  // ---- deleting ----------------------------------------------------------------------------------

  /** @param flags `Session.deleteFiles`, `Session.deletePartfile` */
  delete(flags: number): void {
    const torrent = this.#torrent
    const { alerts, disk, turn } = torrent.env
    const storage = torrent.content?.storage ?? null
    if (storage === null) {
      if (alerts.wants(TorrentDeleteFailedAlert)) {
        alerts.post(new TorrentDeleteFailedAlert(torrent, NO_ERROR, torrent.infoHashes))
      }
      return
    }
    torrent.deleted = true
    torrent.swarm.disconnectAll(libtorrentError(LibtorrentErrors.torrentRemoved), Operation.bittorrent)
    torrent.content!.openTransfers?.clear()
    disk.deleteFiles(storage, flags, error =>
      turn.run('delete files', () => {
        if (error !== null) {
          if (alerts.wants(TorrentDeleteFailedAlert)) {
            alerts.post(new TorrentDeleteFailedAlert(torrent, error.code, torrent.infoHashes))
          }
        } else alerts.post(new TorrentDeletedAlert(torrent, torrent.infoHashes))
      }),
    )
  }
}

const ECANCELED = 125
