/** The part of a file's merkle tree from its root down to the hashes of pieces (BEP 52). */

import { equalAt } from '../core/bytes.ts'
import {
  HASH_SIZE,
  merkleFillPartialTree,
  merkleFillTree,
  merkleGetLayer,
  merkleGetParent,
  merkleIsZero,
  merkleLayerStart,
  merkleNode,
  merkleNumLayers,
  merkleNumLeafs,
  merkleNumNodes,
  merklePadAt,
  merkleSubtreeRoot,
} from './merkle.ts'
import type { GivenNodes } from './merkle-given.ts'

/** Layers of a run of pieces, 512 of them, which is what is asked for at once. */
const RUN_LEVELS = 9

const NO_HASHES = new Uint8Array(0)

/**
 * Root, piece hashes and what lies between. All nodes are right: they come in with proofs only.
 *
 * The piece layer is one array with one hash per piece. It is cut in runs of 512; of a run that is known in part
 * the nodes are kept as a small tree of its own. Roots of runs and the nodes above them are kept as they are known:
 * 0.4% of the piece layer, which saves hashing half of it for one node near the root. Padding is always known.
 *
 * Nodes are numbered breadth first, the root being 0, as in the whole tree.
 */
export class UpperTree {
  readonly #root: Uint8Array
  readonly #pieces: number
  /** Layers from the blocks up to the pieces. */
  readonly #height: number
  /** Layers under the root. */
  readonly #levels: number
  /** Layers of a run. */
  readonly #runLevels: number
  readonly #runs: number
  /** All nodes down to the roots of runs, unknown ones as zeros. Made when first needed. */
  #top: Uint8Array | null = null
  /** Piece hashes. Those of runs that are not done are zeros; empty as long as no run is. */
  #layer: Uint8Array = NO_HASHES
  /** A byte for each run: whether all of its pieces are known. `null`: all are. */
  #done: Uint8Array | null
  #numDone = 0
  /** Trees of runs known in part, unknown nodes as zeros; their own root is kept in `#top`. */
  readonly #open = new Map<number, Uint8Array>()

  /**
   * @param root   32 bytes, kept
   * @param pieces at least 1
   * @param height layers from the blocks up to the pieces
   */
  constructor(root: Uint8Array, pieces: number, height: number) {
    this.#root = root
    this.#pieces = pieces
    this.#height = height
    this.#levels = merkleNumLayers(merkleNumLeafs(pieces))
    this.#runLevels = Math.min(RUN_LEVELS, this.#levels)
    this.#runs = Math.ceil(pieces / 2 ** this.#runLevels)
    this.#done = pieces === 1 ? null : new Uint8Array(this.#runs)
    if (pieces === 1) this.#layer = root
  }

  /** Whether all pieces are known. */
  get complete(): boolean {
    return this.#done === null
  }

  /** All piece hashes: the array itself. `null` if not all are known. */
  get layer(): Uint8Array | null {
    return this.#done === null ? this.#layer : null
  }

  get memoryBytes(): number {
    let bytes = (this.#pieces === 1 ? 0 : this.#layer.length) + (this.#top?.length ?? 0) + (this.#done?.length ?? 0)
    for (const tree of this.#open.values()) bytes += tree.length
    return bytes
  }

  /** Hash of a piece: a view, `null` if it is not known. */
  pieceRoot(piece: number): Uint8Array | null {
    const run = piece >>> this.#runLevels
    if (this.#isDone(run)) return merkleNode(this.#layer, piece)
    const open = this.#open.get(run)
    if (open === undefined) return null
    const at = merkleLayerStart(this.#runLevels) + (piece - run * 2 ** this.#runLevels)
    return merkleIsZero(open, at) ? null : merkleNode(open, at)
  }

  /** Whether a node is known. */
  has(index: number): boolean {
    if (this.#done === null || index === 0 || this.#isPadding(index)) return true
    const run = this.#runBelow(index)
    return (run >= 0 && this.#isDone(run)) || this.node(index) !== null
  }

  /** A node: mostly a view, not to be written to. `null` if it is not known. Hashes up to 256 times. */
  node(index: number): Uint8Array | null {
    if (index === 0) return this.#root
    const level = merkleGetLayer(index)
    const depth = this.#levels - level
    const first = (index - merkleLayerStart(level)) * 2 ** depth
    if (first >= this.#pieces) return merklePadAt(this.#height + depth)
    const run = this.#runBelow(index)
    if (run < 0) {
      if (this.#done === null) this.#top ??= this.#topOf(this.#layer)
      return this.#top === null || merkleIsZero(this.#top, index) ? null : merkleNode(this.#top, index)
    }
    if (this.#isDone(run)) {
      const end = Math.min(first + 2 ** depth, this.#pieces)
      const nodes = this.#layer.subarray(first * HASH_SIZE, end * HASH_SIZE)
      return depth === 0 ? nodes : merkleSubtreeRoot(nodes, 2 ** depth, this.#height)
    }
    const open = this.#open.get(run)
    if (open === undefined) return null
    const at = this.#inRun(index, run)
    return merkleIsZero(open, at) ? null : merkleNode(open, at)
  }

  /** Nodes that must be computed for one of a layer, counted from the pieces. */
  nodesBelow(layer: number): number {
    return layer >= this.#runLevels ? 0 : 2 ** layer - 1
  }

  /** Layers from a piece up to the first node that is known, the piece itself included: 0 if its hash is known. */
  layersToKnown(piece: number): number {
    let index = merkleLayerStart(this.#levels) + piece
    let layers = 0
    for (; !this.has(index); index = merkleGetParent(index)) layers++
    return layers
  }

  /**
   * Takes all piece hashes.
   *
   * @param layer kept if it is right: it must not change any more
   * @returns false, and nothing changes, if they do not add up to the root
   */
  loadLayer(layer: Uint8Array): boolean {
    if (layer.length !== this.#pieces * HASH_SIZE) return false
    const top = this.#topOf(layer)
    if (!equalAt(top, 0, this.#root, 0, HASH_SIZE)) return false
    if (this.#done === null) return true
    this.#layer = layer
    this.#complete()
    this.#top = top.length > HASH_SIZE ? top : null
    return true
  }

  /** Takes the nodes that can be proven. */
  loadPartial(given: GivenNodes): void {
    if (this.#done === null) return
    const topNodes = merkleNumNodes(2 ** (this.#levels - this.#runLevels))
    const firstRun = (topNodes - 1) / 2
    const top = new Uint8Array(topNodes * HASH_SIZE)
    for (let i = 0; i < topNodes; i++) {
      const node = this.#isPadding(i) ? this.node(i) : given.node(i)
      if (node !== null) top.set(node, i * HASH_SIZE)
    }
    top.set(this.#root)
    for (let run = 0; run < this.#runs; run++) {
      if (!merkleIsZero(top, firstRun + run)) continue
      const tree = this.#givenRun(given, run)
      if (tree === null) continue
      merkleFillPartialTree(tree, null)
      top.set(merkleNode(tree, 0), (firstRun + run) * HASH_SIZE)
    }
    merkleFillPartialTree(top, this.#root)
    for (let run = 0; run < this.#runs; run++) {
      if (merkleIsZero(top, firstRun + run)) continue
      const tree = this.#givenRun(given, run)
      if (tree === null) continue
      merkleFillPartialTree(tree, merkleNode(top, firstRun + run))
      if (tree.length === HASH_SIZE || merkleIsZero(tree, 1)) continue
      this.#open.set(run, tree)
      this.#closeRun(run)
    }
    if (this.#done !== null && topNodes > 1) this.#top = top
  }

  /** Stores a node that is proven, its sibling and parent being known or stored next. */
  set(index: number, hash: Uint8Array): void {
    if (index === 0 || this.#done === null) return
    const run = this.#runBelow(index)
    if (run < 0) {
      this.#ownTop().set(hash, index * HASH_SIZE)
      return
    }
    if (run >= this.#runs || this.#isDone(run)) return
    this.#openRun(run).set(hash, this.#inRun(index, run) * HASH_SIZE)
    if (merkleGetLayer(index) === this.#levels) this.#closeRun(run)
  }

  /**
   * Stores a run of piece hashes that is proven, with the nodes above it.
   *
   * @param first piece, a multiple of the length of the run
   * @param tree  all nodes above the run and the run itself
   */
  setPieces(first: number, tree: Uint8Array): void {
    const leafs = (tree.length / HASH_SIZE + 1) / 2
    const levels = merkleNumLayers(leafs)
    const wholeRun = 2 ** this.#runLevels
    let index = merkleLayerStart(this.#levels - levels) + Math.floor(first / leafs)
    let from = 0
    for (let size = 1; size <= leafs; size *= 2) {
      // the pieces of whole runs are stored at once, below
      if (this.#done !== null && !(leafs >= wholeRun && size * wholeRun > leafs)) {
        for (let i = 0; i < size; i++) this.set(index + i, merkleNode(tree, from + i))
      }
      index = 2 * index + 1
      from = 2 * from + 1
    }
    if (leafs < wholeRun) return
    const pieces = tree.subarray((leafs - 1) * HASH_SIZE)
    for (let i = 0; i < leafs && first + i < this.#pieces; i += wholeRun) {
      this.#setRun((first + i) >>> this.#runLevels, pieces.subarray(i * HASH_SIZE))
    }
  }

  /** Calls `mark` with the nodes from which the rest follows. Padding beside known nodes is among them. */
  forEachToSave(mark: (index: number) => void): void {
    const leaf = merkleLayerStart(this.#levels)
    const wholeRun = 2 ** this.#runLevels
    const top = this.#done === null ? null : this.#top
    if (top !== null) for (let i = 1; i < top.length / HASH_SIZE; i++) if (!merkleIsZero(top, i)) mark(i)
    const leafs = merkleNumLeafs(this.#pieces)
    for (let run = 0; run * wholeRun < leafs; run++) {
      if (this.#done === null || this.#isDone(run)) {
        for (let i = run * wholeRun; i < (run + 1) * wholeRun; i++) {
          // padding of the block layer is zeros, which means "not known" in a file
          if (this.#height > 0 || i < this.#pieces) mark(leaf + i)
        }
        continue
      }
      const open = this.#open.get(run)
      if (open === undefined) continue
      for (let level = 1; level <= this.#runLevels; level++) {
        const start = merkleLayerStart(this.#levels - this.#runLevels + level) + run * 2 ** level
        for (let i = 0; i < 2 ** level; i++) if (!merkleIsZero(open, 2 ** level - 1 + i)) mark(start + i)
      }
    }
  }

  /** @throws Error if what the class promises about its fields does not hold. For tests. @internal */
  checkInvariant(): void {
    const assert = (ok: boolean, what: string) => {
      if (!ok) throw new Error(`UpperTree: ${what}`)
    }
    if (this.#done === null) {
      assert(equalAt(this.#topOf(this.#layer), 0, this.#root, 0, HASH_SIZE), 'piece layer')
      assert(this.#open.size === 0, 'nothing is open')
      return
    }
    assert(this.#numDone < this.#runs, 'not complete')
    const nodes = merkleNumNodes(merkleNumLeafs(this.#pieces))
    for (let i = 1; i < nodes; i += 2) {
      const left = this.node(i)
      const right = this.node(i + 1)
      const parent = this.node((i - 1) / 2)
      // padding is known without its sibling
      if (left === null || right === null) {
        assert(left === null && (right === null || this.#isPadding(i + 1)), `siblings at ${i}`)
        continue
      }
      assert(parent !== null, `parent of ${i}`)
      const pair = new Uint8Array([...left, ...right])
      assert(equalAt(merkleSubtreeRoot(pair, 2, 0), 0, parent!, 0, HASH_SIZE), `hash of ${i}`)
    }
  }

  #isDone(run: number): boolean {
    return this.#done === null || this.#done[run] === 1
  }

  /** The run that has a node below its root; -1 for nodes above. */
  #runBelow(index: number): number {
    const level = merkleGetLayer(index) - (this.#levels - this.#runLevels)
    return level <= 0 ? -1 : Math.floor((index - merkleLayerStart(merkleGetLayer(index))) / 2 ** level)
  }

  /** Number of a node in the tree of its run. */
  #inRun(index: number, run: number): number {
    const layer = merkleGetLayer(index)
    const level = layer - (this.#levels - this.#runLevels)
    return merkleLayerStart(level) + (index - merkleLayerStart(layer) - run * 2 ** level)
  }

  #isPadding(index: number): boolean {
    const level = merkleGetLayer(index)
    return (index - merkleLayerStart(level)) * 2 ** (this.#levels - level) >= this.#pieces
  }

  #ownTop(): Uint8Array {
    if (this.#top === null) {
      this.#top = new Uint8Array(merkleNumNodes(2 ** (this.#levels - this.#runLevels)) * HASH_SIZE)
      this.#top.set(this.#root)
    }
    return this.#top
  }

  #openRun(run: number): Uint8Array {
    let open = this.#open.get(run)
    if (open === undefined) {
      open = new Uint8Array(merkleNumNodes(2 ** this.#runLevels) * HASH_SIZE)
      this.#open.set(run, open)
    }
    return open
  }

  /** Pieces of a run. */
  #runLength(run: number): number {
    const wholeRun = 2 ** this.#runLevels
    return Math.min(wholeRun, this.#pieces - run * wholeRun)
  }

  /** Stores the run in the layer if all of its pieces are known. */
  #closeRun(run: number): void {
    const open = this.#open.get(run)
    if (open === undefined) return
    const leaf = 2 ** this.#runLevels - 1
    for (let i = 0; i < this.#runLength(run); i++) if (merkleIsZero(open, leaf + i)) return
    this.#setRun(run, open.subarray(leaf * HASH_SIZE))
  }

  #setRun(run: number, pieces: Uint8Array): void {
    const done = this.#done
    if (done === null || done[run] === 1) return
    if (this.#layer.length === 0) this.#layer = new Uint8Array(this.#pieces * HASH_SIZE)
    this.#layer.set(pieces.subarray(0, this.#runLength(run) * HASH_SIZE), run * 2 ** this.#runLevels * HASH_SIZE)
    done[run] = 1
    this.#open.delete(run)
    if (++this.#numDone === this.#runs) this.#complete()
  }

  #complete(): void {
    this.#done = null
    this.#open.clear()
  }

  /** Nodes down to the roots of runs, out of all piece hashes. */
  #topOf(layer: Uint8Array): Uint8Array {
    const wholeRun = 2 ** this.#runLevels
    const runs = 2 ** (this.#levels - this.#runLevels)
    const top = new Uint8Array(merkleNumNodes(runs) * HASH_SIZE)
    for (let run = 0; run < runs; run++) {
      const start = run * wholeRun * HASH_SIZE
      const root =
        run < this.#runs
          ? merkleSubtreeRoot(layer.subarray(start, start + this.#runLength(run) * HASH_SIZE), wholeRun, this.#height)
          : merklePadAt(this.#height + this.#runLevels)
      top.set(root, (runs - 1 + run) * HASH_SIZE)
    }
    merkleFillTree(top, runs)
    return top
  }

  /** The tree of a run as far as it is given; `null` if nothing of it is. */
  #givenRun(given: GivenNodes, run: number): Uint8Array | null {
    let tree: Uint8Array | null = null
    for (let level = 0; level <= this.#runLevels; level++) {
      const start = merkleLayerStart(this.#levels - this.#runLevels + level) + run * 2 ** level
      if (level > 0 && !given.any(start, 2 ** level)) continue
      for (let i = 0; i < 2 ** level; i++) {
        const node = given.node(start + i)
        if (node === null) continue
        tree ??= new Uint8Array(merkleNumNodes(2 ** this.#runLevels) * HASH_SIZE)
        tree.set(node, (2 ** level - 1 + i) * HASH_SIZE)
      }
    }
    if (tree === null) return null
    // padding is known anyway
    for (let level = 0; level <= this.#runLevels; level++) {
      const start = merkleLayerStart(this.#levels - this.#runLevels + level) + run * 2 ** level
      for (let i = 2 ** level - 1; i >= 0 && this.#isPadding(start + i); i--) {
        tree.set(merklePadAt(this.#height + this.#runLevels - level), (2 ** level - 1 + i) * HASH_SIZE)
      }
    }
    return tree
  }
}
