/** The rules of docs/architecture.md that can be read off the source: layers, and where the world may be touched. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..')
const SOURCE = join(ROOT, 'src')

/** Bottom row first. A part may import from rows below its own and from itself. */
const ROWS: readonly (readonly string[])[] = [
  ['core'],
  ['settings', 'stats'],
  ['alert'],
  ['bencode'],
  ['metainfo'],
  ['wire', 'tracker', 'dht', 'utp', 'net', 'storage', 'runtime'],
  ['plugin'],
  ['peer'],
  ['torrent'],
  ['session'],
  ['node'],
  ['index.ts'],
  ['cli'],
]

/** Where sockets, files, clocks and timers may be used. */
const WORLDLY = ['runtime/', 'storage/node/', 'node/', 'cli/', 'core/local-files.ts']
const WORLD_MODULES =
  /^node:(net|dgram|tls|dns|fs|http|https|http2|worker_threads|timers|child_process|cluster|readline)(\/|$)/
const WORLD_GLOBALS =
  /(?<![.\w$#])(?:Date\.now|new Date\(\s*\)|performance\.|setTimeout|setInterval|setImmediate|fetch\(|globalThis)|Math\.random/
/** Turns and deferred work go through the runtime; only defaults for use without one may go round it. */
const MICROTASK = /(?<![\w$#]|\?\? )queueMicrotask/

interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
}

interface SourceFile {
  /** Relative to src, with slashes. */
  readonly path: string
  readonly imports: readonly Import[]
  /** Without comments and the contents of strings. */
  readonly code: string
}

function sourceFiles(): SourceFile[] {
  const files: SourceFile[] = []
  for (const entry of readdirSync(SOURCE, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
    const full = join(entry.parentPath, entry.name)
    const text = readFileSync(full, 'utf8')
    const path = relative(SOURCE, full).replaceAll('\\', '/')
    files.push({ path, imports: importsOf(text), code: withoutCommentsAndStrings(text) })
  }
  return files
}

function importsOf(text: string): Import[] {
  const found: Import[] = []
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?([^'"`;]*?)\s*from\s*'([^']+)'/gm)) {
    found.push({ specifier: match[3]!, typeOnly: match[1] !== undefined || onlyTypes(match[2]!) })
  }
  for (const match of text.matchAll(/^import\s*'([^']+)'/gm)) found.push({ specifier: match[1]!, typeOnly: false })
  for (const match of text.matchAll(/(typeof\s+)?(?<![\w.#])import\(\s*'([^']+)'\s*\)/g)) {
    found.push({ specifier: match[2]!, typeOnly: match[1] !== undefined })
  }
  return found
}

/** `{ type A, type B }` leaves nothing behind when compiled. */
function onlyTypes(clause: string): boolean {
  const names = /^\{([^}]*)\}$/s
    .exec(clause)?.[1]
    ?.split(',')
    .map(name => name.trim())
  return names?.every(name => name === '' || name.startsWith('type ')) === true
}

function withoutCommentsAndStrings(text: string): string {
  return text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\$]|\\.|\$(?!\{))*`/g,
    match => (match.startsWith('/') ? ' ' : "''"),
  )
}

function rowOf(path: string): number {
  const part = path.split('/')[0]!
  return ROWS.findIndex(row => row.includes(part))
}

function isWorldly(path: string): boolean {
  return WORLDLY.some(place => path.startsWith(place))
}

const files = sourceFiles()

/** Each import of one of our own files that is there at run time. */
function* ownImports(): Generator<{ from: string; to: string }> {
  for (const { path, imports } of files) {
    for (const { specifier, typeOnly } of imports) {
      if (!specifier.startsWith('.') || typeOnly) continue
      yield { from: path, to: relative(SOURCE, resolve(SOURCE, dirname(path), specifier)).replaceAll('\\', '/') }
    }
  }
}

describe('layers', () => {
  test('every source file is in a layer', () => {
    expect(files.filter(({ path }) => rowOf(path) < 0).map(({ path }) => path)).toEqual([])
  })

  test('imports point downward, and parts of one row do not know each other', () => {
    const wrong: string[] = []
    for (const { from, to } of ownImports()) {
      const same = from.split('/')[0] === to.split('/')[0]
      if (!same && rowOf(to) >= rowOf(from)) wrong.push(`${from} imports ${to}`)
    }
    expect(wrong).toEqual([])
  })

  test('the runtime and the engine do not know each other', () => {
    const wrong: string[] = []
    for (const { from, to } of ownImports()) {
      if (from.startsWith('runtime/') && !to.startsWith('runtime/') && !to.startsWith('core/'))
        wrong.push(`${from} imports ${to}`)
      if (to.startsWith('runtime/') && !from.startsWith('runtime/') && !from.startsWith('node/'))
        wrong.push(`${from} imports ${to}`)
      if (to.startsWith('storage/node/') && !from.startsWith('storage/node/') && !from.startsWith('node/'))
        wrong.push(`${from} imports ${to}`)
    }
    expect(wrong).toEqual([])
  })

  test('only the session imports torrent.ts', () => {
    const wrong: string[] = []
    for (const { from, to } of ownImports()) {
      if (to === 'torrent/torrent.ts' && !from.startsWith('session/')) wrong.push(from)
    }
    expect(wrong).toEqual([])
  })

  test('the command line stands on the public interface alone', () => {
    const wrong: string[] = []
    for (const { from, to } of ownImports()) {
      if (from.startsWith('cli/') && !to.startsWith('cli/') && to !== 'index.ts') wrong.push(`${from} imports ${to}`)
    }
    expect(wrong).toEqual([])
  })

  test('nothing goes round in a circle', () => {
    const targets = new Map<string, string[]>()
    for (const { from, to } of ownImports()) targets.set(from, [...(targets.get(from) ?? []), to])
    const done = new Set<string>()
    const circles: string[] = []
    const visit = (path: string, trail: readonly string[]) => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' > '))
      if (trail.includes(path) || done.has(path)) return
      for (const next of targets.get(path) ?? []) visit(next, [...trail, path])
      done.add(path)
    }
    for (const { path } of files) visit(path, [])
    expect(circles).toEqual([])
  })

  test('imports name files that are there, with their ending', () => {
    const known = new Set(files.map(({ path }) => path))
    const wrong: string[] = []
    for (const { from, to } of ownImports()) if (!known.has(to)) wrong.push(`${from} imports ${to}`)
    expect(wrong).toEqual([])
  })
})

describe('the world', () => {
  test('sockets, files and threads are used in few places', () => {
    const wrong: string[] = []
    for (const { path, imports } of files) {
      if (isWorldly(path)) continue
      for (const { specifier, typeOnly } of imports) {
        if (!typeOnly && WORLD_MODULES.test(specifier)) wrong.push(`${path} imports ${specifier}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('time and chance come through the runtime', () => {
    const wrong: string[] = []
    for (const { path, code } of files) {
      if (isWorldly(path)) continue
      const match = WORLD_GLOBALS.exec(code) ?? MICROTASK.exec(code)
      if (match !== null) wrong.push(`${path} uses ${match[0]}`)
    }
    expect(wrong).toEqual([])
  })

  test('cryptography is in few places', () => {
    const places = new Set(['core/hash.ts', 'core/ed25519.ts'])
    const wrong: string[] = []
    for (const { path, imports } of files) {
      if (isWorldly(path) || places.has(path)) continue
      for (const { specifier, typeOnly } of imports) {
        if (!typeOnly && specifier === 'node:crypto') wrong.push(path)
      }
    }
    expect(wrong).toEqual([])
  })

  test('promises are for the edges', () => {
    const wrong: string[] = []
    for (const { path, code } of files) {
      if (isWorldly(path) || path === 'index.ts' || path.startsWith('session/')) continue
      if (/\basync\b|\bawait\b/.test(code)) wrong.push(path)
    }
    expect(wrong).toEqual([])
  })
})

describe('packages', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }

  test('what is imported at run time is a dependency', () => {
    const wrong: string[] = []
    for (const { path, imports } of files) {
      for (const { specifier, typeOnly } of imports) {
        if (typeOnly || specifier.startsWith('.') || specifier.startsWith('node:')) continue
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/')
        if (!(name in manifest.dependencies)) wrong.push(`${path} imports ${specifier}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('what is heavy is loaded when first used', () => {
    const heavy = /^(undici|socks|fast-xml-parser|@noble\/curves)(\/|$)/
    // what loads it is itself loaded late, by this file
    const late = new Map([
      ['runtime/node-http-transfer.ts', 'runtime/node-http.ts'],
      ['runtime/node-http-line.ts', 'runtime/node-http-transfer.ts'],
    ])
    const wrong: string[] = []
    for (const { path, imports, code } of files) {
      if (late.has(path) || path.startsWith('cli/')) continue
      for (const { specifier, typeOnly } of imports) {
        if (!typeOnly && heavy.test(specifier) && !code.includes('import(')) wrong.push(`${path} imports ${specifier}`)
      }
    }
    for (const { from, to } of ownImports()) {
      if (late.has(to) && from !== late.get(to)) wrong.push(`${from} imports ${to}`)
    }
    expect(wrong).toEqual([])
  })
})
