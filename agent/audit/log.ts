import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/** What a line says; never nothing. */
export interface LogRecord {
  readonly time: string
  readonly [key: string]: unknown
}

/** A file of numbered JSON lines that is only appended to. After a call that throws it must be opened anew. */
export interface RecordLog {
  /** The number of the next line. */
  readonly next: number
  /** Writes all or throws. @throws Error also when somebody else has changed the file. */
  append(records: readonly LogRecord[]): void
  close(): void
}

const fileName = 'decisions.jsonl'
const fullName = /^decisions-(\d+)\.jsonl$/
/** How every line begins. */
const start = '{"seq":'
/** More than the longest line. */
const tailBytes = 65_536

/** @param options.from the least number that the next line may have */
export function openLog(options: {
  readonly dir: string
  readonly from: number
  readonly fullAtBytes: number
}): RecordLog {
  const { dir, fullAtBytes } = options
  const path = join(dir, fileName)
  mkdirSync(dir, { recursive: true, mode: 0o750 })
  let file = openSync(path, 'a+', 0o640)
  let next: number
  try {
    next = Math.max(options.from, nextAfterFullOnes(dir), nextAfter(file))
  } catch (cause) {
    closeSync(file)
    throw cause
  }
  let size = fstatSync(file).size

  const startNewFile = () => {
    renameSync(path, join(dir, `decisions-${String(next - 1).padStart(15, '0')}.jsonl`))
    const full = file
    file = openSync(path, 'ax+', 0o640)
    closeSync(full)
    size = 0
  }

  return {
    get next() {
      return next
    },
    append: (records) => {
      const stats = fstatSync(file)
      if (stats.nlink === 0) throw new Error(`${path} was removed`)
      if (stats.size !== size) throw new Error(`${path} was changed by somebody else`)
      if (size >= fullAtBytes) startNewFile()
      const text = linesOf(records, next)
      const length = Buffer.byteLength(text)
      const written = writeSync(file, text)
      if (written !== length) throw new Error(`only ${written} of ${length} bytes were written`)
      size += length
      next += records.length
    },
    close: () => closeSync(file),
  }
}

/** Each record's own text behind its number: no copy of it is made for that (`bench -- authz --pipeline`). */
function linesOf(records: readonly LogRecord[], first: number): string {
  let text = ''
  for (const [index, record] of records.entries())
    text += `${start}${first + index},${JSON.stringify(record).slice(1)}\n`
  return text
}

/**
 * The number after the last one of a file. Lines that a crash cut off are closed by a new line and counted: their numbers
 * are not given again.
 *
 * @throws Error when the file ends in something else than records.
 */
function nextAfter(file: number): number {
  const { size } = fstatSync(file)
  if (size === 0) return 1
  const tail = Buffer.alloc(Math.min(size, tailBytes))
  readSync(file, tail, 0, tail.length, size - tail.length)
  const lines = tail.toString().split('\n')
  const isTorn = lines.at(-1) !== ''
  let torn = 0
  let last = 0
  for (const line of lines.filter((each) => each !== '').reverse()) {
    const found = /^\{"seq":(\d+),/.exec(line)?.[1]
    if (found !== undefined) {
      last = Number(found)
      break
    }
    if (!start.startsWith(line.slice(0, start.length)))
      throw new Error(`the last line of ${fileName} is not a record`)
    torn++
  }
  if (isTorn) writeSync(file, '\n')
  return last + torn + 1
}

function nextAfterFullOnes(dir: string): number {
  const numbers = readdirSync(dir).map((name) => Number(fullName.exec(name)?.[1] ?? 0))
  return Math.max(0, ...numbers) + 1
}
