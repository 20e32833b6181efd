// Removes the build output, so that no file of an earlier build is packed or run.
import { rmSync } from 'node:fs'

for (const folder of ['build', 'dist'])
  rmSync(new URL(`../${folder}`, import.meta.url), { recursive: true, force: true })
