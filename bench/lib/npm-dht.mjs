/** A node of the `bittorrent-dht` package. Speaks the lines of our-dht.mjs. */

import DHT from 'bittorrent-dht'
import { commands, emit } from './lines.mjs'

const dht = new DHT({ bootstrap: false, verify: null })
dht.on('error', error => process.stderr.write(`${error.stack}\n`))
dht.on('warning', () => {})
dht.listen(0, '127.0.0.1', () => emit({ event: 'ready', port: dht.address().port }))
for await (const _ of commands());
process.exit()
