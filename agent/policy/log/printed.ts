import { type EventText, eventText, type LogEvent } from './event.ts'

/** Takes lines; false says that it is behind and takes no more. */
export interface LineWriter {
  write(line: string): boolean
}

/** The line that OPA's console logger writes: the keys of an event, and those of a log line beside them. */
export function consoleLine(
  what: { readonly type: string; readonly message: string },
  json: string,
  nowMs: number,
): string {
  const time = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
  const head = JSON.stringify({ level: 'info', msg: what.message, time, type: what.type })
  return json === '{}' ? `${head}\n` : `${head.slice(0, -1)},${json.slice(1)}\n`
}

const decisionLine = { type: 'openpolicyagent.org/decision_logs', message: 'Decision Log' }

export function decisionConsoleLine(event: LogEvent, text: EventText, nowMs: number): string {
  const { error } = event
  const shown = typeof error === 'object' ? eventText({ ...event, error: String(error['message']) }) : text
  return consoleLine(decisionLine, shown.bytes.toString(), nowMs)
}
