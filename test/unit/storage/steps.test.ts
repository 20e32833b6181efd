import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { MoveFlags, Operation } from '../../../src/core/enums.ts'
import { errnoError } from '../../../src/core/error-code.ts'
import { checkSteps } from '../../../src/storage/checker.ts'
import { DiskFailure } from '../../../src/storage/disk-error.ts'
import { CheckStatus } from '../../../src/storage/disk-io.ts'
import { partHeaderSize } from '../../../src/storage/part-file.ts'
import { StorageState } from '../../../src/storage/storage-state.ts'
import {
  deleteSteps,
  loadPartSteps,
  moveSteps,
  prioritySteps,
  renameSteps,
  type Steps,
  type TaskResult,
} from '../../../src/storage/storage-steps.ts'
import { type FileTask, SLICE, SliceFlags } from '../../../src/storage/worker-protocol.ts'
import { MadeLayout, optionsFor, PAD, SYMLINK } from '../../compliance/disk-io-lib.ts'

const PIECE = 16384
const LAYOUT = new MadeLayout(PIECE, [
  { path: 'n/a', size: PIECE + 100 },
  { path: 'n/empty', size: 0 },
  { path: 'n/.pad/0', size: PIECE - 100, flags: PAD },
  { path: 'n/sub/b', size: 3 * PIECE },
  { path: 'n/sub/link', size: 0, flags: SYMLINK, target: 'n/a' },
])
const MISSING = -2

/** Drives steps with made-up answers. */
function drive<R>(steps: Steps<R>, answer: (task: FileTask) => Partial<TaskResult>): { tasks: FileTask[]; result: R } {
  const tasks: FileTask[] = []
  let next = steps.next()
  while (next.done !== true) {
    tasks.push(next.value)
    let result: Partial<TaskResult>
    try {
      result = answer(next.value)
    } catch (error) {
      next = steps.throw(error)
      continue
    }
    next = steps.next({ numbers: null, data: null, ...result })
  }
  return { tasks, result: next.value }
}

/** A disk with these files. */
function withFiles(sizes: Readonly<Record<string, number>>): (task: FileTask) => Partial<TaskResult> {
  return task => {
    if (task.kind === 'stat') {
      return { numbers: task.paths.map(path => sizes[path.slice('/save/'.length)] ?? MISSING) }
    }
    return task.kind === 'hardLink' ? { numbers: [1] } : {}
  }
}

function kinds(tasks: readonly FileTask[]): string {
  return tasks.map(task => task.kind).join(' ')
}

function make(filePriorities: readonly number[] = []): StorageState {
  return new StorageState(1, optionsFor(LAYOUT, '/save', { filePriorities }))
}

describe('a check', () => {
  const ALL = new Bitfield(LAYOUT.numPieces(), true)
  const WHOLE = { 'n/a': PIECE + 100, 'n/empty': 0, 'n/sub/b': 3 * PIECE }

  test('of nothing finds no files, and makes the empty ones', () => {
    const { tasks, result } = drive(checkSteps(make(), null, []), withFiles({}))
    expect(result).toEqual({ status: CheckStatus.noFiles, error: null, oversizedFile: -1 })
    expect(kinds(tasks)).toBe('stat symlink create')
    expect(tasks[1]).toMatchObject({ targets: ['../a'], paths: ['/save/n/sub/link'] })
    expect(tasks[2]).toMatchObject({ paths: ['/save/n/empty'] })
  })

  test('never asks for pad files or links by size', () => {
    const { tasks } = drive(checkSteps(make(), null, []), withFiles({}))
    expect(tasks[0]).toEqual({
      kind: 'stat',
      paths: ['/save/n/a', '/save/n/empty', '/save/n/sub/b', '/save/.0123456789abcdef.parts'],
      names: true,
    })
  })

  test('a part file alone is reason enough to hash', () => {
    const { result } = drive(checkSteps(make(), null, []), withFiles({ '.0123456789abcdef.parts': 5 }))
    expect(result.status).toBe(CheckStatus.needFullCheck)
  })

  test('of a whole seed is content; it looks up 100,000 files in batches', () => {
    const { result } = drive(checkSteps(make(), { flags: 0, haveBits: ALL }, []), withFiles(WHOLE))
    expect(result.status).toBe(CheckStatus.ok)
    const many = new MadeLayout(
      PIECE,
      Array.from({ length: 10_000 }, (_, i) => ({ path: `m/${i}`, size: 1 })),
    )
    const state = new StorageState(1, optionsFor(many, '/save'))
    const { tasks } = drive(checkSteps(state, { flags: 1, haveBits: new Bitfield() }, []), task => ({
      numbers: task.kind === 'stat' ? task.paths.map(() => 1) : null,
    }))
    expect(kinds(tasks)).toBe('stat stat stat')
  })

  test('an error other than "not there" ends it', () => {
    const denied = -errnoError('EACCES').value()
    const steps = checkSteps(make(), { flags: 0, haveBits: ALL }, [])
    expect(() => drive(steps, task => (task.kind === 'stat' ? { numbers: task.paths.map(() => denied) } : {}))).toThrow(
      'Permission denied',
    )
  })

  test('unwanted files are not missed, except in seed mode', () => {
    const gone = withFiles({ 'n/a': PIECE + 100, 'n/empty': 0 })
    const priorities = [4, 4, 4, 0]
    const lenient = drive(checkSteps(make(priorities), { flags: 0, haveBits: ALL }, []), gone)
    expect(lenient.result.status).toBe(CheckStatus.ok)
    const strict = drive(checkSteps(make(priorities), { flags: 1, haveBits: ALL }, []), gone)
    expect([strict.result.status, strict.result.error?.file]).toEqual([CheckStatus.needFullCheck, 3])
  })

  test('a link that cannot be made is told, and leads to a full check', () => {
    const { result } = drive(checkSteps(make(), null, ['/else/a']), task => {
      if (task.kind === 'hardLink') throw new DiskFailure(errnoError('EMLINK'), Operation.fileHardLink, 0)
      return withFiles({})(task)
    })
    expect(result.status).toBe(CheckStatus.needFullCheck)
    expect(result.error?.code.message()).toBe('Too many links')
  })
})

describe('the part file on the way', () => {
  test('is read only if an unwanted file is not on disk', () => {
    const there = drive(loadPartSteps(make([4, 4, 4, 0]), null), withFiles({ 'n/sub/b': 7 }))
    expect(kinds(there.tasks)).toBe('stat')
    const state = make([4, 4, 4, 0])
    const gone = drive(loadPartSteps(state, null), withFiles({}))
    expect(kinds(gone.tasks)).toBe('stat readHeader')
    expect(gone.tasks[1]).toMatchObject({ length: partHeaderSize(LAYOUT.numPieces()) })
    expect([state.partLoaded, state.partOnDisk]).toEqual([true, false])
  })

  test('gives up the pieces that only a file that is wanted again needed', () => {
    const state = make([4, 4, 4, 0])
    drive(loadPartSteps(state, null), withFiles({}))
    state.slices(2 * PIECE, 3 * PIECE, true)
    expect(state.part!.size).toBe(3)
    const { tasks, result } = drive(prioritySteps(state, [4, 4, 4, 4, 4]), withFiles({}))
    expect(result).toEqual([4, 4, 4, 4, 4])
    expect(kinds(tasks)).toBe('exportPart')
    expect(tasks[0]).toMatchObject({ file: 3, fileSize: 3 * PIECE, removePart: true })
    expect(state.part!.size).toBe(0)
  })

  test('empty files and links come into being once they are wanted', () => {
    const state = make([4, 0, 4, 4, 0])
    const { tasks, result } = drive(prioritySteps(state, [4, 1, 4, 4, 1]), withFiles({}))
    expect(kinds(tasks)).toBe('stat readHeader create symlink')
    expect(tasks[2]).toMatchObject({ files: [1], paths: ['/save/n/empty'] })
    expect(tasks[3]).toMatchObject({ files: [4], targets: ['../a'], paths: ['/save/n/sub/link'] })
    expect(result).toEqual([4, 1, 4, 4, 1])
  })

  test('keeps the old priority of a file that cannot be looked at', () => {
    const state = make()
    const denied = -errnoError('EACCES').value()
    const steps = prioritySteps(state, [0, 4, 4, 4])
    expect(() => drive(steps, () => ({ numbers: [denied] }))).toThrow('Permission denied')
    expect(state.priority(0)).toBe(4)
  })
})

describe('slices', () => {
  test('skip empty files, mark padding, and end at file ends', () => {
    const state = make()
    const slices = state.slices(PIECE, 2 * PIECE, true)
    const rows = []
    for (let s = 0; s < slices.length; s += SLICE.stride) rows.push(slices.slice(s, s + SLICE.stride))
    expect(rows).toEqual([
      [0, SliceFlags.truncate, '/save/n/a', PIECE, 100, PIECE + 100],
      [2, SliceFlags.pad, '', 0, PIECE - 100, PIECE - 100],
      [3, SliceFlags.truncate, '/save/n/sub/b', 0, PIECE, 3 * PIECE],
    ])
    state.setCreated(0)
    expect(state.slices(PIECE, 10, true)[SLICE.flags]).toBe(0)
  })

  test('follow names: relative to the save path, or absolute', () => {
    const state = make()
    state.rename(0, 'x/y')
    state.rename(3, '/abs/b')
    expect([state.path(0), state.path(3), state.path(1)]).toEqual(['/save/x/y', '/abs/b', '/save/n/empty'])
  })
})

describe('whole-storage work', () => {
  test('a move leaves out files with absolute names, and changes the save path only at its end', () => {
    const state = make()
    state.rename(3, '/abs/b')
    const failing = moveSteps(state, '/to', MoveFlags.alwaysReplaceFiles)
    expect(() =>
      drive(failing, () => {
        throw new DiskFailure(errnoError('ENOSPC'), Operation.fileCopy, 0)
      }),
    ).toThrow('No space left on device')
    expect(state.savePath).toBe('/save')
    const { tasks, result } = drive(moveSteps(state, '/to', MoveFlags.alwaysReplaceFiles), () => ({ numbers: [0] }))
    expect(tasks[0]).toMatchObject({ files: [0, 1, 4], partFrom: '' })
    expect([result, state.savePath]).toEqual([false, '/to'])
  })

  test('a rename that fails leaves the name', () => {
    const state = make()
    expect(() =>
      drive(renameSteps(state, 0, 'new'), () => {
        throw new DiskFailure(errnoError('EACCES'), Operation.fileRename, 0)
      }),
    ).toThrow('Permission denied')
    expect(state.name(0)).toBe('n/a')
    drive(renameSteps(state, 0, 'new'), () => ({}))
    expect(state.name(0)).toBe('new')
    expect(drive(renameSteps(state, 99, 'new'), () => ({})).tasks).toEqual([])
  })

  test('a rename to the name of another file is refused, however it is written', () => {
    const state = make()
    for (const name of ['n/sub/b', './n/sub/b', 'n//sub/./b', 'n/x/../sub/b', '/save/n/sub/b', '/save//n/sub/b']) {
      let failure: DiskFailure | null = null
      try {
        drive(renameSteps(state, 0, name), () => ({}))
      } catch (error) {
        failure = error as DiskFailure
      }
      expect([failure?.code.message(), failure?.operation, failure?.file]).toEqual([
        'torrent file collides with file from another torrent',
        Operation.fileRename,
        0,
      ])
    }
    expect(state.name(0)).toBe('n/a')
    // its own name in another form is not another file's
    drive(renameSteps(state, 0, './n//a'), () => ({}))
    expect(state.path(0)).toBe('/save/n/a')
    // names that were left are free, those that were taken are not; pad files have none
    drive(renameSteps(state, 3, 'c'), () => ({}))
    drive(renameSteps(state, 0, 'n/sub/b'), () => ({}))
    expect(() => drive(renameSteps(state, 1, '/save/c'), () => ({}))).toThrow('collides')
    drive(renameSteps(state, 1, 'n/.pad/0'), () => ({}))
  })

  describe('of files with the same name', () => {
    const same = (renamed: Readonly<Record<number, string>>): StorageState =>
      new StorageState(
        1,
        optionsFor(LAYOUT, '/save', { renamed: new Map(Object.entries(renamed).map(([k, v]) => [Number(k), v])) }),
      )

    test('the first one has it', () => {
      const state = same({ 3: './n//a', 1: '/save/n/a' })
      expect([0, 1, 3, 4].map(file => state.ownsPath(file))).toEqual([true, false, false, true])
      expect([state.claim(0), state.claim(3)]).toEqual([true, false])
    })

    test('the others take nothing away when they get another one, and have theirs when the first one has', () => {
      const state = same({ 3: 'n/a' })
      const { tasks } = drive(renameSteps(state, 3, 'own'), () => ({}))
      expect([tasks, state.path(3), state.ownsPath(3)]).toEqual([[], '/save/own', true])
      const next = same({ 3: 'n/a' })
      expect(kinds(drive(renameSteps(next, 0, 'own'), () => ({})).tasks)).toBe('rename')
      expect([next.ownsPath(0), next.ownsPath(3)]).toEqual([true, true])
    })

    test('one is moved', () => {
      const state = same({ 0: '/save/n/sub/b' })
      const { tasks } = drive(moveSteps(state, '/to', MoveFlags.alwaysReplaceFiles), () => ({ numbers: [0] }))
      expect(tasks[0]).toMatchObject({ files: [1, 4] })
      expect([0, 3].map(file => [state.path(file), state.ownsPath(file)])).toEqual([
        ['/save/n/sub/b', true],
        ['/to/n/sub/b', true],
      ])
    })

    test('empty ones and links are not made', () => {
      const state = same({ 1: 'n/a', 4: 'n/a' })
      const { tasks } = drive(checkSteps(state, null, []), withFiles({}))
      expect(kinds(tasks)).toBe('stat')
      expect(kinds(drive(checkSteps(make(), null, []), withFiles({})).tasks)).toBe('stat symlink create')
    })

    test('none comes about by a move', () => {
      const state = same({ 0: '/to//n/sub/b' })
      const move = () => drive(moveSteps(state, '/to', MoveFlags.alwaysReplaceFiles), () => ({ numbers: [0] }))
      expect(move).toThrow('torrent file collides with file from another torrent')
      expect(state.savePath).toBe('/save')
      // the files stay where they are: of those at the new place the first one counts
      drive(moveSteps(state, '/to', MoveFlags.resetSavePath), () => ({ numbers: [1] }))
      expect([0, 3].map(file => state.ownsPath(file))).toEqual([true, false])
    })
  })

  test('deleting takes files, the part file, or both', () => {
    const only = drive(deleteSteps(make(), 2), () => ({}))
    expect(only.tasks[0]).toMatchObject({ paths: [], partPath: '/save/.0123456789abcdef.parts' })
    const all = drive(deleteSteps(make(), 1), () => ({}))
    expect(all.tasks[0]).toMatchObject({ files: [0, 1, 3, 4], partPath: '/save/.0123456789abcdef.parts' })
  })
})
