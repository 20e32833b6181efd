import { WORLDS } from './runtime-worlds.ts'
import { streamSuite } from './stream.ts'

for (const world of WORLDS) streamSuite(world)
