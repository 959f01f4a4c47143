import { Worker } from 'node:worker_threads'
import type { JsonValue } from '#base/json.ts'
import type { EvaluationContext } from '../../builtins/builtin.ts'
import { parseRegoText, regoText } from '../../values/rego-text.ts'
import { type Engine, EvaluationError } from '../engine.ts'
import type { PolicyInput } from '../input-document.ts'
import type { Prepared } from '../prepared.ts'
import type { Ask, RecordedTexts, Told } from './protocol.ts'

interface Waiting {
  readonly ask: Ask
  readonly context: EvaluationContext
  resolve(result: JsonValue | undefined): void
  reject(cause: Error): void
}

/** An engine in a thread of its own. Disposing it ends the thread; what still waits is refused. */
export type IsolatedEngine = Engine & AsyncDisposable

/** More than this waiting for one thread could not be answered in time anyway. */
const maxWaiting = 1000

/**
 * Evaluates in a thread of its own, one after the other. An evaluation that takes longer than `deadlineMs` is ended together
 * with its thread, whatever it is doing; a second thread stands ready to take over, so that the others lose no time. Costs some
 * 60 µs an evaluation more than an engine in this thread, and its memory twice.
 *
 * @returns once both threads are ready.
 */
export async function startIsolatedEngine(
  prepared: Prepared,
  options: {
    readonly deadlineMs: number
    /** Told when a thread was ended, and why. */
    readonly onEnded?: (why: string) => void
  },
): Promise<IsolatedEngine> {
  const { deadlineMs, onEnded = () => {} } = options
  const waiting: Waiting[] = []
  /** Those that are to live; one that is ended on purpose is not among them. */
  const threads = new Set<Worker>()
  const ending = new Set<Promise<unknown>>()
  let running: { readonly thread: Worker; readonly item: Waiting; readonly timer: NodeJS.Timeout } | undefined
  let isOver = false
  let active = await start()
  let spare: Promise<Worker | undefined> = start()
  await spare

  /** A thread that has the policy loaded. */
  function start(): Promise<Worker> {
    return new Promise((resolve, reject) => {
      const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData: { prepared } })
      threads.add(thread)
      thread.unref()
      thread.on('message', (told: Told) => {
        if (told.kind === 'ready') resolve(thread)
        else finished(thread, told)
      })
      thread.on('error', reject)
      thread.on('exit', (code) => {
        const isOwnEnd = threads.delete(thread)
        reject(new Error(`the thread ended with ${code}`))
        if (isOwnEnd && running?.thread === thread) lost('the thread of the policy ended by itself')
      })
    })
  }

  function next(): void {
    if (running !== undefined || isOver) return
    const item = waiting.shift()
    if (item === undefined) return
    const timer = setTimeout(() => lost(`no result within ${deadlineMs} ms`), deadlineMs)
    running = { thread: active, item, timer }
    // While somebody waits the thread keeps the process alive.
    active.ref()
    active.postMessage(item.ask)
  }

  function finished(thread: Worker, told: Exclude<Told, { kind: 'ready' }>): void {
    if (running?.thread !== thread) return
    const { item, timer } = running
    clearTimeout(timer)
    running = undefined
    active.unref()
    take(item.context, told.recorded)
    if (told.kind === 'result') item.resolve(told.result)
    else item.reject(new EvaluationError(told.message))
    next()
  }

  /** Ends the thread that works on the first in line; the spare one goes on with the others. */
  function lost(why: string): void {
    if (running === undefined) return
    const { thread, item, timer } = running
    clearTimeout(timer)
    item.reject(new EvaluationError(`policy evaluation failed: ${why}`))
    if (isOver) return
    onEnded(why)
    threads.delete(thread)
    const end = thread.terminate().finally(() => ending.delete(end))
    ending.add(end)
    // `running` stays, so that nobody is sent to a thread that is not there.
    void replace()
  }

  async function replace(): Promise<void> {
    let replacement = await spare.catch(() => undefined)
    while (replacement === undefined && !isOver) replacement = await start().catch(() => undefined)
    if (replacement === undefined || isOver) return
    active = replacement
    spare = start().catch(() => undefined)
    running = undefined
    next()
  }

  return {
    entrypoints: new Set(prepared.policy.entrypoints.keys()),
    builtins: prepared.policy.builtins,
    evaluate: (entrypoint: string, input: PolicyInput | undefined, context: EvaluationContext) => {
      if (isOver) throw new EvaluationError('the engine is closed')
      if (waiting.length >= maxWaiting) throw new EvaluationError('too many evaluations wait for the policy')
      return new Promise((resolve, reject) => {
        const ask: Ask = {
          entrypoint,
          input: input?.text,
          nowNs: context.nowNs,
          runtime: context.runtime === undefined ? undefined : regoText(context.runtime),
          isRecorded: context.recorded !== undefined,
        }
        waiting.push({ ask, context, resolve, reject })
        next()
      })
    },
    [Symbol.asyncDispose]: async () => {
      isOver = true
      if (running !== undefined) {
        clearTimeout(running.timer)
        running.item.reject(new EvaluationError('the engine is closed'))
      }
      for (const { reject } of waiting.splice(0)) reject(new EvaluationError('the engine is closed'))
      await spare.catch(() => undefined)
      await Promise.all([...ending, ...[...threads].map((thread) => thread.terminate())])
    },
  }
}

/** Writes down what the thread has recorded where its caller looks for it. */
function take({ recorded }: EvaluationContext, texts: RecordedTexts): void {
  if (recorded === undefined) return
  for (const [name, calls] of texts)
    recorded.set(name, new Map(calls.map(([operands, result]) => [operands, parseRegoText(result)])))
}
