import { httpSuite } from './http.ts'
import { nodeHttpWorld, simHttpWorld } from './http-worlds.ts'

for (const world of [nodeHttpWorld, simHttpWorld(1), simHttpWorld(2)]) httpSuite(world)
