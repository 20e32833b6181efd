import { datagramSuite } from './datagram.ts'
import { WORLDS } from './runtime-worlds.ts'

for (const world of WORLDS) datagramSuite(world)
