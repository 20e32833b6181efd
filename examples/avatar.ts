// The magnet link of a torrent file, in three lines.
import { TorrentInfo } from 'libtorrent-ts'

const info = new TorrentInfo('avatar.torrent')
console.log(`magnet:?xt=urn:btih:${info.infoHash()}&dn=${info.name()}`)
