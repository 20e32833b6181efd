import { describe, expect, test } from 'vitest'
import { Operation } from '../../../src/core/enums.ts'
import { errnoError } from '../../../src/core/error-code.ts'
import { DiskFailure } from '../../../src/storage/disk-error.ts'
import { linkSteps, separateSteps } from '../../../src/storage/linker.ts'
import { StorageState } from '../../../src/storage/storage-state.ts'
import type { Steps, TaskResult } from '../../../src/storage/storage-steps.ts'
import { type FileTask, LinkOutcome } from '../../../src/storage/worker-protocol.ts'
import { WriteClaims } from '../../../src/storage/write-claims.ts'
import { MadeLayout, optionsFor, PAD, SYMLINK } from '../../compliance/disk-io-lib.ts'

const PIECE = 16384
const LAYOUT = new MadeLayout(PIECE, [
  { path: 'n/a', size: 2 * PIECE },
  { path: 'n/b', size: PIECE },
  { path: 'n/empty', size: 0 },
  { path: 'n/.pad/0', size: PIECE, flags: PAD },
  { path: 'n/link', size: 0, flags: SYMLINK, target: 'n/a' },
  { path: 'n/c', size: PIECE },
])
const MISSING = -2
const LINKS = ['/o/a', '/o/b', '/o/empty', '/o/pad', '/o/link', '/o/c']

type Answers = Partial<Record<FileTask['kind'], (task: never) => readonly number[]>>

/** Drives steps; tasks without an answer succeed with none. */
function drive<R>(steps: Steps<R>, answers: Answers): { tasks: FileTask[]; result: R } {
  const tasks: FileTask[] = []
  let next = steps.next()
  while (next.done !== true) {
    tasks.push(next.value)
    let result: TaskResult
    try {
      result = { numbers: answers[next.value.kind]?.(next.value as never) ?? null, data: null }
    } catch (error) {
      next = steps.throw(error)
      continue
    }
    next = steps.next(result)
  }
  return { tasks, result: next.value }
}

const kinds = (tasks: readonly FileTask[]) => tasks.map(task => task.kind).join(' ')
const make = (filePriorities: readonly number[] = [], claims: WriteClaims | null = null) =>
  new StorageState(1, optionsFor(LAYOUT, '/save', { filePriorities }), claims)
const fail = (name: string) => () => {
  throw new DiskFailure(errnoError(name), Operation.fileCopy, 0)
}
const nothing = () => LAYOUT.files.map(() => MISSING)
const whole = (task: Extract<FileTask, { kind: 'stat' }>) => [
  ...task.paths.map(() => PIECE),
  ...task.paths.map(path => (path.endsWith('/a') ? 1 : 0)),
]

describe('links', () => {
  test('are made for files that are missing, wanted, and have content', () => {
    const sizes = nothing()
    sizes[1] = 0
    const { tasks } = drive(linkSteps(make([4, 4, 4, 4, 4, 0]), LINKS, sizes), {
      hardLink: () => [LinkOutcome.exists],
    })
    expect(tasks).toEqual([
      { kind: 'hardLink', files: [0], targets: ['/o/a'], sizes: [2 * PIECE], paths: ['/save/n/a'] },
    ])
  })

  test('cost nothing if there are none', () => {
    expect(drive(linkSteps(make(), [], nothing()), {})).toEqual({ tasks: [], result: { added: false, error: null } })
  })

  test('that were made are files with another name', () => {
    const state = make()
    const sizes = nothing()
    const { result } = drive(linkSteps(state, LINKS, sizes), {
      hardLink: () => [LinkOutcome.linked, LinkOutcome.exists, LinkOutcome.linked],
      stat: whole,
    })
    expect(result).toEqual({ added: true, error: null })
    expect(sizes).toEqual([PIECE, MISSING, MISSING, MISSING, MISSING, PIECE])
    expect([...state.otherNames!]).toEqual([0])
  })

  test('that cannot be are copied in steps, below another name', () => {
    let at = 0
    const { tasks, result } = drive(linkSteps(make(), ['/o/a'], nothing()), {
      hardLink: () => [LinkOutcome.mustCopy],
      copyPart: task => {
        expect((task as { offset: number }).offset).toBe(at)
        at += PIECE
        return [at, 2 * PIECE]
      },
      placeCopy: () => [1],
      stat: whole,
    })
    expect(kinds(tasks)).toBe('hardLink copyPart copyPart placeCopy stat')
    expect(tasks[1]).toMatchObject({ from: '/o/a', to: '/save/n/.0123456789abcdef.0.copy', size: 2 * PIECE })
    expect(tasks[3]).toMatchObject({ from: '/save/n/.0123456789abcdef.0.copy', to: '/save/n/a', replace: false })
    expect(result.added).toBe(true)
  })

  test.each(['copyPart', 'placeCopy'] as const)(
    'whose copy fails in %s leave nothing, and do not keep others',
    kind => {
      const { tasks, result } = drive(linkSteps(make(), LINKS, nothing()), {
        hardLink: () => [LinkOutcome.mustCopy, -errnoError('EACCES').value(), LinkOutcome.linked],
        copyPart: () => [2 * PIECE, 2 * PIECE],
        stat: whole,
        [kind]: fail('ENOSPC'),
      })
      const copy = { kind: 'delete', files: [], paths: [], partPath: '/save/n/.0123456789abcdef.0.copy' }
      expect(tasks.find(task => task.kind === 'delete')).toMatchObject(copy)
      expect([result.added, result.error?.code.message(), result.error?.file]).toEqual([
        true,
        'No space left on device',
        0,
      ])
      expect(tasks.at(-1)).toMatchObject({ kind: 'stat', paths: ['/save/n/c'] })
    },
  )

  test('of a torrent that leaves are not finished', () => {
    const state = make()
    const { tasks, result } = drive(linkSteps(state, LINKS, nothing()), {
      hardLink: () => [LinkOutcome.mustCopy, LinkOutcome.mustCopy, LinkOutcome.mustCopy],
      copyPart: () => {
        state.abandoned = true
        return [PIECE, 2 * PIECE]
      },
    })
    expect(kinds(tasks)).toBe('hardLink copyPart delete')
    expect([result.added, result.error?.code.message()]).toEqual([false, 'Operation canceled'])
  })

  test('of 2000 files are made in batches', () => {
    const many = new MadeLayout(
      PIECE,
      Array.from({ length: 2000 }, (_, i) => ({ path: `m/${i}`, size: 1 })),
    )
    const state = new StorageState(1, optionsFor(many, '/save'))
    const { tasks } = drive(
      linkSteps(
        state,
        many.files.map(file => `/o/${file.path}`),
        many.files.map(() => MISSING),
      ),
      {
        hardLink: (task: Extract<FileTask, { kind: 'hardLink' }>) => task.files.map(() => LinkOutcome.linked),
        stat: (task: Extract<FileTask, { kind: 'stat' }>) => task.paths.flatMap(() => [1, 1]),
      },
    )
    expect(kinds(tasks)).toBe('hardLink hardLink hardLink hardLink stat')
    expect(state.otherNames?.size).toBe(2000)
  })
})

describe('a file with another name', () => {
  const known = (claims: WriteClaims | null = null) => {
    const state = make([], claims)
    state.namesKnown = true
    state.setOtherNames(0, true)
    return state
  }

  test('gets content of its own before it is written to', () => {
    const state = known()
    const { tasks } = drive(separateSteps(state, 0), { copyPart: () => [5, 5], placeCopy: () => [1] })
    expect(kinds(tasks)).toBe('copyPart placeCopy')
    expect(tasks[0]).toMatchObject({ from: '/save/n/a', size: -1 })
    expect(tasks[1]).toMatchObject({ to: '/save/n/a', replace: true })
    expect([state.otherNames, state.mayHaveOtherNames(0)]).toEqual([null, false])
  })

  test('is found out if it is not known', () => {
    const state = make()
    expect(state.mayHaveOtherNames(1)).toBe(true)
    const { tasks } = drive(separateSteps(state, 1), { stat: whole })
    expect(kinds(tasks)).toBe('stat')
    expect([state.mayHaveOtherNames(0), state.mayHaveOtherNames(1)]).toEqual([true, false])
  })

  test('is not touched if that fails, or if another torrent writes there', () => {
    const state = known()
    drive(separateSteps(state, 0), { copyPart: fail('ENOSPC') })
    expect(state.mayHaveOtherNames(0)).toBe(true)
    expect(state.allocationFailures?.get(0)?.code.message()).toBe('No space left on device')
    const claims = new WriteClaims()
    claims.take('/save/n/a', 9)
    const second = known(claims)
    expect(drive(separateSteps(second, 0), {}).tasks).toEqual([])
    expect(second.mayHaveOtherNames(0)).toBe(true)
  })

  test('that has gone needs nothing', () => {
    const state = known()
    drive(separateSteps(state, 0), { copyPart: fail('ENOENT') })
    expect([state.mayHaveOtherNames(0), state.allocationFailures]).toEqual([false, null])
  })
})

test('a path is written by one storage at a time, until its files are closed', () => {
  const claims = new WriteClaims()
  expect([claims.take('/a', 1), claims.take('/a', 1), claims.take('/a', 2), claims.take('/b', 2)]).toEqual([
    true,
    true,
    false,
    true,
  ])
  claims.release(2)
  expect([claims.take('/a', 2), claims.take('/b', 1), claims.size]).toEqual([false, true, 2])
  claims.release(1)
  expect([claims.take('/a', 2), claims.size]).toEqual([true, 1])
})
