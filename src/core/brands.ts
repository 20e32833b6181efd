/**
 * Numbers that must not be mixed up, and the sizes every layer agrees on.
 *
 * The brands exist in the type system only. A raw number becomes a `PieceIndex`
 * at one door: `Geometry.piece(n)`, which checks its range.
 */

declare const brand: unique symbol
type Branded<Name extends string> = number & { readonly [brand]?: Name }

/** Index of a piece in a torrent, 0 to `numPieces - 1`. */
export type PieceIndex = Branded<'piece'>
/** Index of a file in a torrent's file list, pad files included. */
export type FileIndex = Branded<'file'>
/** Index of a 16 KiB block inside its piece. */
export type BlockIndex = Branded<'block'>
/** Identity of a torrent within its session; never reused. */
export type TorrentId = Branded<'torrent'>

/** Request unit of the wire protocol and leaf size of v2 trees, in bytes. @see BEP 3, BEP 52 */
export const BLOCK_SIZE = 16384
