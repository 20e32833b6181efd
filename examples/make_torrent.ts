// Makes out.torrent of a file or a directory, without hidden files.
//
//   node make_torrent.js <file or directory> <tracker url>
import { writeFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { bencode, CreateTorrent, listFiles, setPieceHashes, version } from 'libtorrent-ts'

const [path, tracker] = process.argv.slice(2)
if (path === undefined || tracker === undefined) {
  console.error('usage: make_torrent <file or directory> <tracker url>')
  process.exit(2)
}

const input = resolve(path)
const files = listFiles(input, name => {
  const leaf = basename(name)
  return !leaf.startsWith('.') && leaf !== 'Thumbs.db'
})
for (const file of files) console.log(`${String(Math.ceil(file.size / 1024)).padStart(10)} KiB  ${file.filename}`)
if (files.length === 0) {
  console.error('no files added')
  process.exit(1)
}

const torrent = new CreateTorrent(files, 4 * 1024 * 1024)
torrent.addTracker(tracker)
torrent.setCreator(`libtorrent ${version}`)

// hashing runs on worker threads; this is called once a piece
await setPieceHashes(torrent, dirname(input), () => process.stdout.write('.'))
process.stdout.write('\n')

writeFileSync('out.torrent', bencode(torrent.generate()))
