import { describe, expect, test } from 'vitest'
import { errnoError } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import { Turn } from '../../../src/core/turn.ts'
import { Geometry } from '../../../src/metainfo/geometry.ts'
import type { DiskError, DiskIo, HashResult, PieceHashes, StorageHandle } from '../../../src/storage/disk-io.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'
import { type LayerHost, LayerMaker, type LayerSource } from '../../../src/torrent/layer-maker.ts'
import { PieceProofs, type ProofHost } from '../../../src/torrent/piece-proofs.ts'
import { layoutOf, requestOf, V2File } from '../metainfo/v2-files.ts'

type Hash = (result: HashResult) => void

/** Files of four blocks a piece. Pieces are hashed when the test says so. */
class World implements LayerHost, LayerSource {
  readonly geometry: Geometry
  readonly storage: StorageHandle = { id: 1 }
  readonly trees: HashTrees
  readonly proofs: PieceProofs
  readonly maker: LayerMaker
  readonly had = new Set<number>()
  readonly told: string[] = []
  readonly asked: number[] = []
  readonly jobs = new Map<number, Hash>()
  checksV1 = true
  mayMakeLayers = true
  readonly #list: readonly V2File[]

  constructor(...list: V2File[]) {
    this.#list = list
    const files = layoutOf(4, ...list)
    this.geometry = new Geometry(files, true)
    this.trees = new HashTrees(files)
    const proofHost = {
      havePiece: (piece: number) => this.had.has(piece),
      inconsistentHashes: (piece: number) => {
        this.told.push(`inconsistent ${piece}`)
        this.mayMakeLayers = false
      },
    }
    this.proofs = new PieceProofs(this.trees, files, proofHost as ProofHost)
    const disk = {
      hashPieces: (_storage: StorageHandle, first: number, count: number, want: { v1: boolean }, done: Hash) => {
        expect([count, want]).toEqual([1, { v1: this.checksV1, v2: true, blockHashes: false }])
        this.asked.push(first)
        this.jobs.set(first, done)
      },
      submit: () => {},
    }
    const turn = new Turn(
      () => 0,
      error => {
        throw error
      },
    )
    this.maker = new LayerMaker(this, this.proofs, this, disk as unknown as DiskIo, turn)
  }

  havePiece(piece: number): boolean {
    return this.had.has(piece)
  }
  expected(piece: number): PieceHashes {
    return { v1: this.checksV1 ? new Uint8Array(20).fill(piece) : null, v2: this.trees.pieceRoot(piece) }
  }
  layersGrew(): void {
    this.told.push('grew')
  }
  pieceSpoilt(piece: number): void {
    this.told.push(`spoilt ${piece}`)
    this.mayMakeLayers = false
  }
  readFailed(error: DiskError): void {
    this.told.push(error.code.message())
    this.mayMakeLayers = false
  }

  /** The right root of a piece. */
  root(piece: number): Uint8Array {
    const file = this.geometry.files.fileIndexAtPiece(piece)
    const nth = this.#list.findIndex(each =>
      each.root.every((byte, i) => byte === this.geometry.files.rootView(file)![i]),
    )
    return this.#list[nth]!.pieceRoot(piece - this.geometry.piecesOfFile(file).begin)
  }

  have(...pieces: number[]): void {
    for (const piece of pieces) this.had.add(piece)
  }

  /** The disk answers for a piece. */
  answer(piece: number, change: Partial<HashResult> = {}): void {
    const done = this.jobs.get(piece)!
    this.jobs.delete(piece)
    const v1 = this.checksV1 ? new Uint8Array(20).fill(piece) : null
    done({ error: null, v1, v2: this.root(piece), blockHashes: null, ...change })
  }

  answerAll(): void {
    while (this.jobs.size > 0) this.answer([...this.jobs.keys()][0]!)
  }
}

const WRONG = new Uint8Array(32).fill(1)

test('pieces of a file that is there are hashed, two at once, and make its layer', () => {
  const file = new V2File(19, 4)
  const world = new World(file)
  world.have(0, 1, 2, 3, 4)
  world.maker.look()
  expect(world.asked).toEqual([0, 1])
  world.answer(1)
  expect(world.asked).toEqual([0, 1, 2])
  world.answerAll()
  expect(world.asked).toEqual([0, 1, 2, 3, 4])
  expect(world.trees.pieceLayer(0)).toEqual(file.pieceLayer())
  expect(world.trees.complete).toBe(true)
  expect(world.told).toEqual(['grew'])
  world.maker.look()
  world.maker.fileCompleted(0)
  expect(world.asked).toHaveLength(5)
})

test('pieces whose root is known by what they were downloaded as are not hashed again', () => {
  const world = new World(new V2File(16, 4))
  for (const piece of [0, 2]) world.proofs.judge(piece, world.root(piece))
  world.have(0, 1, 2, 3)
  world.maker.fileCompleted(0)
  expect(world.asked).toEqual([1, 3])
  world.answerAll()
  expect(world.trees.complete).toBe(true)
})

test('files that are not all there, that need no layer or have one are passed over', () => {
  // a block, just a piece, one that lacks a piece, one with a layer, an empty one, and one to hash
  const layered = new V2File(8, 4, 3)
  const list = [new V2File(1, 4, 1), new V2File(4, 4, 2), new V2File(12, 4, 4), layered, new V2File(8, 4, 5)]
  const world = new World(...list)
  const { files } = world.geometry
  const firsts = Array.from({ length: files.numFiles() }, (_, f) => f).filter(f => !files.padFileAt(f))
  const [trees, masks] = layered.layerTrees()
  const none = new Array(firsts[3]!)
  world.trees.load([...none.fill(new Uint8Array(0)), ...trees], [...new Array(firsts[3]!), ...masks])
  for (let piece = 0; piece < files.numPieces(); piece++) world.have(piece)
  const lacking = world.geometry.piecesOfFile(firsts[2]!)
  world.had.delete(lacking.end - 1)
  world.maker.look()
  world.answerAll()
  const { begin, end } = world.geometry.piecesOfFile(firsts[4]!)
  expect(world.asked).toEqual([begin, end - 1])
  expect(world.trees.complete).toBe(false)
  world.have(lacking.end - 1)
  world.maker.fileCompleted(firsts[2]!)
  world.answerAll()
  expect(world.trees.complete).toBe(true)
})

test('the same file twice is hashed once, but for a piece that was begun before', () => {
  const world = new World(new V2File(16, 4), new V2File(16, 4))
  world.have(0, 1, 2, 3, 4, 5, 6, 7)
  world.maker.look()
  world.answerAll()
  expect(world.asked).toEqual([0, 1, 2, 3, 4])
  expect(world.trees.complete).toBe(true)
})

test('hashes that peers tell meanwhile end it', () => {
  const file = new V2File(32, 4)
  const world = new World(file)
  world.have(0, 1, 2, 3, 4, 5, 6, 7)
  world.maker.look()
  world.answer(0)
  expect(world.proofs.hashesArrived(0, requestOf(file, 2, 0, 8, 2), file.run(2, 0, 8))).toBe(true)
  world.answerAll()
  expect(world.asked).toEqual([0, 1, 2])
  expect(world.told).toEqual(['grew', 'grew'])
})

describe('what is under way when the torrent stops', () => {
  function stopped() {
    const world = new World(new V2File(16, 4))
    world.have(0, 1, 2, 3)
    world.maker.look()
    world.mayMakeLayers = false
    return world
  }

  test('counts for nothing, and is done again when it goes on', () => {
    const world = stopped()
    world.answer(0)
    world.answer(1, { error: { code: errnoError('EIO'), operation: Operation.fileRead, file: 0 } })
    expect([world.asked, world.told]).toEqual([[0, 1], []])
    world.maker.look()
    world.maker.fileCompleted(0)
    expect(world.asked).toEqual([0, 1])
    world.mayMakeLayers = true
    world.maker.look()
    world.answerAll()
    expect(world.asked).toEqual([0, 1, 0, 1, 2, 3])
    expect(world.trees.complete).toBe(true)
  })

  test('is not begun twice if it goes on at once', () => {
    const world = stopped()
    world.mayMakeLayers = true
    world.maker.look()
    world.answerAll()
    expect(world.asked).toEqual([0, 1, 2, 3])
    expect(world.trees.complete).toBe(true)
  })
})

test('a piece that is lost meanwhile ends it for the file', () => {
  const world = new World(new V2File(16, 4), new V2File(8, 4, 9))
  world.have(0, 1, 2, 3, 4, 5)
  world.maker.look()
  for (const piece of [1, 3]) world.had.delete(piece)
  world.answerAll()
  expect(world.asked).toEqual([0, 1, 2, 4, 5])
  expect([0, 4].map(piece => world.trees.hasRoot(piece))).toEqual([true, true])
  expect([1, 3].map(piece => world.trees.hasRoot(piece))).toEqual([false, false])
})

describe('a piece that is wrong', () => {
  test('by its v1 hash is spoilt on disk', () => {
    const world = new World(new V2File(16, 4))
    world.have(0, 1, 2, 3)
    world.maker.look()
    world.answer(0, { v1: new Uint8Array(20).fill(9), v2: WRONG })
    expect(world.told).toEqual(['spoilt 0'])
    expect(world.asked).toEqual([0, 1])
  })

  test('by its v2 hash alone shows that the hashes do not agree, once all are known', () => {
    const world = new World(new V2File(12, 4))
    world.have(0, 1, 2)
    world.maker.look()
    world.answer(0, { v2: WRONG })
    world.answer(1)
    expect(world.told).toEqual([])
    world.answer(2)
    expect(world.told).toEqual(['inconsistent 0'])
    expect(world.trees.complete).toBe(false)
  })

  test('by a hash that has come meanwhile shows it as well', () => {
    const file = new V2File(32, 4)
    const world = new World(file)
    world.checksV1 = false
    world.have(0, 1, 2, 3, 4, 5, 6, 7)
    world.maker.look()
    expect(world.proofs.hashesArrived(0, requestOf(file, 2, 0, 8, 2), file.run(2, 0, 8))).toBe(true)
    world.answer(1, { v2: WRONG })
    expect(world.told).toEqual(['inconsistent 1'])
  })
})

test('what cannot be read is told', () => {
  const world = new World(new V2File(16, 4))
  world.have(0, 1, 2, 3)
  world.maker.look()
  const code = errnoError('EIO')
  world.answer(0, { error: { code, operation: Operation.fileRead, file: 0 } })
  expect(world.told).toEqual([code.message()])
  expect(world.asked).toEqual([0, 1])
})
