/** Flags of `CreateTorrent` and `listFiles`. */

/** Values as in libtorrent; also static members of `CreateTorrent`. @internal */
export const CreateFlags = Object.freeze({
  /** Record when files were last modified. */
  modificationTime: 4,
  /** Keep symbolic links as links. */
  symlinks: 8,
  /** No v1 metadata. */
  v2Only: 32,
  /** No v2 metadata, and none of its rules for order and alignment. */
  v1Only: 64,
  /** With `v1Only`: the order and padding that a v2 torrent would have. */
  canonicalFiles: 128,
  /** Leave out the executable and hidden attributes. */
  noAttributes: 256,
  /** As `canonicalFiles`, without the pad file at the end: what libtorrent made up to 2.0.7. */
  canonicalFilesNoTailPadding: 512,
  /** Let v1 torrents have any piece size. */
  allowOddPieceSize: 0x80000000,
} as const)
