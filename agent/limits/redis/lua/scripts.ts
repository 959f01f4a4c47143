import { createHash } from 'node:crypto'
import { countersLua } from './counters.ts'
import { holdsLua } from './holds.ts'
import { recordLua } from './record.ts'
import { statesLua } from './states.ts'

/** One operation of the store, done by the server in one step. */
export interface Script {
  readonly text: string
  readonly sha: string
}

/** What the scripts know of time. */
export interface ScriptTime {
  /** The body of a function that gives microseconds since the epoch. Only tests have another than the server's own. */
  readonly timeLua: string
  /** How much longer keys are kept than they could matter. */
  readonly spareMs: number
}

const serverTime: ScriptTime = {
  timeLua: `local time = redis.call('TIME') return time[1] * 1000000 + time[2]`,
  spareMs: 1000,
}

export interface Scripts {
  readonly reserve: Script
  readonly topUp: Script
  readonly settle: Script
  readonly peek: Script
  readonly adjust: Script
  readonly heartbeat: Script
  readonly restore: Script
}

export function createScripts({ timeLua, spareMs }: ScriptTime = serverTime): Scripts {
  const before = `local function timeUs() ${timeLua} end\nlocal spareMs = ${spareMs}\n`
  const script = (...parts: readonly string[]): Script => {
    const text = before + parts.join('')
    return { text, sha: createHash('sha1').update(text).digest('hex') }
  }
  return {
    reserve: script(...counting, holdsLua, reserveLua),
    topUp: script(...counting, holdsLua, topUpLua),
    settle: script(...counting, holdsLua, settleLua),
    peek: script(...counting, peekLua),
    adjust: script(...counting, adjustLua),
    heartbeat: script(recordLua, heartbeatLua),
    restore: script(...counting, holdsLua, restoreLua),
  }
}

const counting = [recordLua, countersLua, statesLua] as const

/** KEYS: record, hold, counters. ARGV after those of the record: 6 id, 7 life of the hold (ms) or 0, charges. */
const reserveLua = `
local id, ttlMs = ARGV[6], tonumber(ARGV[7])
if ttlMs == 0 then
  local list = charges(3, ARGV[8])
  local states, isRefused, none = look(list)
  if none then return none end
  if isRefused then return answer('R', tell(list, states)) end
  for i, c in ipairs(list) do
    -- What is over at once does not run.
    if c.kind ~= 'r' then kindOf(c.kind).put(c, states[i], c.cost, maxUnits) end
  end
  wrote()
  return answer('G', tell(list, states))
end
local hold = holdAt(KEYS[2])
if hold and hold ~= 'over' then return answer('G', hold.answer) end
local list = charges(3, ARGV[8])
local states, isRefused, none = look(list)
if none then return none end
if isRefused or hold == 'over' then return answer('R', tell(list, states)) end
hold = {replica = replica, expires = now + ttlMs * 1000, step = 0, parts = list}
for i, c in ipairs(list) do take(c, states[i], hold, id) end
hold.answer = tell(list, states)
hold.stepAnswer = 0
storeHold(KEYS[2], hold)
wrote()
return answer('G', hold.answer)
`

/** As {@link reserveLua}, with the step as ARGV 8. */
const topUpLua = `
local id, ttlMs, step = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local hold = holdAt(KEYS[2])
if hold == 'over' then hold = nil end
local list = charges(3, ARGV[9])
if hold and #list ~= #hold.parts then hold = nil end
if hold and step <= hold.step then return answer('G', hold.step > 0 and hold.stepAnswer or hold.answer) end
local states, isRefused, none = look(list, hold)
if none then return none end
if isRefused or not hold then return answer('R', tell(list, states)) end
hold.expires = now + ttlMs * 1000
for i, c in ipairs(list) do hold.parts[i] = takeMore(hold.parts[i], c, states[i], hold, id) end
hold.step = step
hold.stepAnswer = tell(list, states)
storeHold(KEYS[2], hold)
wrote()
return answer('G', hold.stepAnswer)
`

/**
 * KEYS: record, hold; the counters stand in the hold, and have its hash tag. ARGV after those of the record: 6 id, then what
 * was really taken, by the numbers of the charges.
 */
const settleLua = `
local id = ARGV[6]
local hold = holdAt(KEYS[2])
if hold == 'over' then return answer('A') end
if not hold then
  for i = 7, #ARGV do
    if ARGV[i] ~= '0' then return answer('U') end
  end
  bury(KEYS[2])
  return answer('U')
end
for _, part in ipairs(hold.parts) do settlePart(part, tonumber(ARGV[7 + part.index]) or part.reserved, hold, id) end
bury(KEYS[2])
wrote()
return answer('S')
`

/** KEYS: record, counters. ARGV after those of the record: charges. */
const peekLua = `
local list = charges(2, ARGV[6])
local states, _, none = look(list)
if none then return none end
return answer('P', tell(list, states))
`

/** KEYS: record, mark that it was done, counter. ARGV after those of the record: 6 units to take back, or reset; the charge. */
const adjustLua = `
local list = charges(3, ARGV[7])
local c = list[1]
c.isRefusedAfterLoss = false
local kind = kindOf(c.kind)
local s = kind.read(c)
if not s then return answer('T') end
if c.kind ~= 'r' and call('SET', KEYS[2], '1', 'NX', 'PX', 600000) then
  local back = tonumber(ARGV[6])
  -- No two resets are the same one, not in one microsecond nor where the clock went back.
  if not back then kind.reset(c, max(now, s.generation + 1))
  elseif back < 0 then kind.put(c, s, -back, maxUnits)
  else backOf(c.kind).adjust(c, s, back) end
  wrote()
end
return answer('P', tell(list, (look(list))))
`

/**
 * KEYS: record. Says that this replica is there; forgets those that have not been for a week. Answers how many there are.
 */
const heartbeatLua = `
call('HSET', record, 'a:' .. replica, nowMs + lifeMs)
if call('PTTL', record) < recordMs then call('PEXPIRE', record, recordMs * 5 / 4) end
local all = call('HGETALL', record)
local there = 0
for i = 1, #all, 2 do
  local name = string.match(all[i], '^a:(.+)$')
  if name then
    local untilMs = tonumber(all[i + 1])
    if untilMs > nowMs then there = there + 1
    elseif untilMs < nowMs - 7 * 86400000 then call('HDEL', record, 'a:' .. name, 'w:' .. name) end
  end
end
return answer('H', {there})
`

/**
 * As {@link reserveLua}, for what runs already while the memory of it was lost: counts it again, whatever the limit is, unless it
 * is known or over.
 */
const restoreLua = `
local id, ttlMs = ARGV[6], tonumber(ARGV[7])
if holdAt(KEYS[2]) then return answer('A') end
local list = charges(3, ARGV[8])
local hold = {replica = replica, expires = now + ttlMs * 1000, step = 0, parts = list}
local states = {}
for i, c in ipairs(list) do
  states[i] = kindOf('r').read(c)
  states[i].wait = 0
  take(c, states[i], hold, id)
end
hold.answer = tell(list, states)
hold.stepAnswer = 0
storeHold(KEYS[2], hold)
return answer('S')
`
