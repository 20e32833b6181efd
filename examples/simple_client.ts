// Downloads one torrent into the current directory and ends when it is complete.
//
//   node simple_client.js file.torrent
import { setTimeout as sleep } from 'node:timers/promises'
import { AddTorrentParams, AlertCategory, Session, TorrentInfo, TorrentStatus } from 'libtorrent-ts'

const file = process.argv[2]
if (file === undefined) {
  console.error('usage: simple_client <file.torrent>')
  process.exit(2)
}

// closed at the end of the program, whichever way it ends
await using session = new Session({ listen_interfaces: '0.0.0.0:6881,[::]:6881' })

const params = new AddTorrentParams()
params.ti = new TorrentInfo(file)
params.savePath = '.'
const handle = session.addTorrent(params)

const stateNames = new Map<number, string>(Object.entries(TorrentStatus.State).map(([name, value]) => [value, name]))
let status = handle.status()
console.log(`starting ${status.name}`)
while (!status.isSeeding) {
  await sleep(200)
  status = handle.status()
  const down = (status.downloadRate / 1000).toFixed(1)
  const up = (status.uploadRate / 1000).toFixed(1)
  const percent = (status.progress * 100).toFixed(2)
  const state = stateNames.get(status.state) ?? ''
  console.log(`${percent} % complete (down: ${down} kB/s, up: ${up} kB/s, peers: ${status.numPeers}) ${state}`)
  for (const alert of session.popAlerts()) {
    if ((alert.category() & AlertCategory.error) !== 0) console.log(String(alert))
  }
  if (status.errc.value() !== 0) throw new Error(status.errc.message())
}
console.log(`${status.name} complete`)
