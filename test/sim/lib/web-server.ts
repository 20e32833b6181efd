/** A web server in virtual time that has the files of a torrent, and can be told to misbehave. */

import { escapePath } from '../../../src/core/url.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import type { ServedRequest, ServedResponse } from './sim-http.ts'
import type { SimRuntime } from './sim-runtime.ts'
import type { Simulation } from './simulation.ts'
import type { SimTorrent } from './swarm.ts'

/** A request for a range, as the server got it. */
export interface Served {
  readonly atMs: number
  readonly path: string
  /** First byte and one past the last. */
  readonly start: number
  readonly end: number
  readonly connection: number
  readonly request: ServedRequest
}

export class WebServer {
  readonly runtime: SimRuntime
  readonly origin: string
  /** What was asked for. */
  readonly served: Served[] = []
  /** Files by path, which begins with a slash. */
  readonly files = new Map<string, Uint8Array>()
  /** Another answer than the file. Called for each request. */
  respond: ((served: Served) => ServedResponse | null) | null = null
  readonly #sim: Simulation
  readonly #port: number

  constructor(sim: Simulation, name: string, options: { port?: number; runtime?: SimRuntime } = {}) {
    this.#sim = sim
    this.#port = options.port ?? 80
    this.runtime = options.runtime ?? sim.host(name)
    sim.names.set(name, { addresses: [this.runtime.host.addresses[0]!] })
    this.origin = `http://${name}${this.#port === 80 ? '' : `:${this.#port}`}`
    sim.http.listen(this.runtime.host, this.#port, request => this.#serve(request))
  }

  /** Puts the files of a torrent below a directory, pad files left out. @returns the URL for the torrent */
  put(torrent: SimTorrent, directory = '/'): string {
    const files = loadTorrentBuffer(torrent.file).ti!.layout()
    for (let file = 0; file < files.numFiles(); file++) {
      if (files.padFileAt(file)) continue
      const start = files.fileOffset(file)
      const path = directory + escapePath(files.filePath(file))
      this.files.set(path, torrent.content.slice(start, start + files.fileSize(file)))
    }
    return `${this.origin}${directory}`
  }

  /** Bytes of bodies that were asked for. */
  get bytes(): number {
    return this.served.reduce((sum, { start, end }) => sum + end - start, 0)
  }

  close(): void {
    this.#sim.http.close(this.runtime.host, this.#port)
  }

  #serve(request: ServedRequest): ServedResponse {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers['range'] ?? '')
    const served: Served = {
      atMs: this.#sim.clock.now(),
      path: request.url.pathname,
      start: Number(range?.[1] ?? 0),
      end: Number(range?.[2] ?? -1) + 1,
      connection: request.connection,
      request,
    }
    this.served.push(served)
    const special = this.respond?.(served) ?? null
    if (special !== null) return special
    const file = this.files.get(served.path)
    if (file === undefined) return { status: 404, statusText: 'Not Found', body: 'nothing here' }
    return part(file, served.start, served.end)
  }
}

/** The answer that a good server gives. */
export function part(file: Uint8Array, start: number, end: number): ServedResponse {
  if (end > file.length) return { status: 416, statusText: 'Range Not Satisfiable' }
  return {
    status: 206,
    statusText: 'Partial Content',
    headers: { 'content-range': `bytes ${start}-${end - 1}/${file.length}`, server: 'sim/1.0' },
    body: file.subarray(start, end),
  }
}
