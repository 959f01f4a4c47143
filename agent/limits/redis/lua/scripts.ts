import { createHash } from 'node:crypto'
import { countersLua } from './counters.ts'
import { holdsLua } from './holds.ts'
import { recordLua } from './record.ts'
import { statesLua } from './states.ts'

/** One operation of the store, done by the server in one step. */
export interface Script {
  readonly text: string
  readonly sha: string
  /** The same in the library. */
  readonly functionName: string
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

export interface Scripts extends Record<Operation, Script> {
  /** All of them as a library of functions: what a script makes anew at each call a server with the library has made once. */
  readonly library: string
}

export function createScripts({ timeLua, spareMs }: ScriptTime = serverTime): Scripts {
  const before = `local function timeUs() ${timeLua} end\nlocal spareMs = ${spareMs}\n`
  const all = before + [...counting, holdsLua, ...names.map((name) => operations[name].lua)].join('')
  // Another text is another library, with functions of its own: agents of two versions share a server.
  const libraryName = `sluice_${sha1(all)}`
  const script = (name: Operation): Script => {
    const { parts, lua } = operations[name]
    const text = `${before}${parts.join('')}${lua}begin(KEYS, ARGV)\nreturn ${name}()\n`
    return { text, sha: sha1(text), functionName: `${libraryName}_${name}` }
  }
  const functions = names.map(
    (name) => `
redis.register_function('${libraryName}_${name}', function(keys, args)
  made = made or make()
  made.begin(keys, args)
  return made.${name}()
end)`,
  )
  return {
    ...(Object.fromEntries(names.map((name) => [name, script(name)])) as Record<Operation, Script>),
    // Made at the first call: while a library is loaded, nothing of Lua's own is there.
    library: `#!lua name=${libraryName}
local made
local function make()
${all}
return {begin = begin, ${names.map((name) => `${name} = ${name}`).join(', ')}}
end
${functions.join('')}
`,
  }
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

const counting = [recordLua, countersLua, statesLua] as const

/** KEYS: record, hold, counters. ARGV after those of the record: 6 id, 7 life of the hold (ms) or 0, charges. */
const reserveLua = `
local function reserve()
  local id, ttlMs = args[6], tonumber(args[7])
  if ttlMs == 0 then
    local list = charges(3, args[8])
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
  local hold = holdAt(keys[2])
  if hold and hold ~= 'over' then return answer('G', unpackAll(hold.answer)) end
  local list = charges(3, args[8])
  local states, isRefused, none = look(list)
  if none then return none end
  if isRefused or hold == 'over' then return answer('R', tell(list, states)) end
  hold = {replica = replica, expires = now + ttlMs * 1000, step = 0, parts = list, answer = '', stepAnswer = ''}
  for i, c in ipairs(list) do take(c, states[i], hold, id) end
  local told = tell(list, states)
  hold.answer = packAll(told)
  storeHold(keys[2], hold)
  wrote()
  return answer('G', told)
end
`

/** As {@link reserveLua}, with the step as ARGV 8. */
const topUpLua = `
local function topUp()
  local id, ttlMs, step = args[6], tonumber(args[7]), tonumber(args[8])
  local hold = holdAt(keys[2])
  if hold == 'over' then hold = nil end
  local list = charges(3, args[9])
  if hold and #list ~= #hold.parts then hold = nil end
  if hold and step <= hold.step then return answer('G', unpackAll(hold.step > 0 and hold.stepAnswer or hold.answer)) end
  local states, isRefused, none = look(list, hold)
  if none then return none end
  if isRefused or not hold then return answer('R', tell(list, states)) end
  hold.expires = now + ttlMs * 1000
  for i, c in ipairs(list) do hold.parts[i] = takeMore(hold.parts[i], c, states[i], hold, id) end
  hold.step = step
  local told = tell(list, states)
  hold.stepAnswer = packAll(told)
  storeHold(keys[2], hold)
  wrote()
  return answer('G', told)
end
`

/**
 * KEYS: record, hold; the counters stand in the hold, and have its hash tag. ARGV after those of the record: 6 id, then what
 * was really taken, by the numbers of the charges.
 */
const settleLua = `
local function settle()
  local id = args[6]
  local hold = holdAt(keys[2])
  if hold == 'over' then return answer('A') end
  if not hold then
    for i = 7, #args do
      if args[i] ~= '0' then return answer('U') end
    end
    bury(keys[2])
    return answer('U')
  end
  for _, part in ipairs(hold.parts) do settlePart(part, tonumber(args[7 + part.index]) or part.reserved, hold, id) end
  bury(keys[2])
  wrote()
  return answer('S')
end
`

/** KEYS: record, counters. ARGV after those of the record: charges. */
const peekLua = `
local function peek()
  local list = charges(2, args[6])
  local states, _, none = look(list)
  if none then return none end
  return answer('P', tell(list, states))
end
`

/** KEYS: record, mark that it was done, counter. ARGV after those of the record: 6 units to take back, or reset; the charge. */
const adjustLua = `
local function adjust()
  local list = charges(3, args[7])
  local c = list[1]
  -- Who changes it by hand knows of the loss.
  c.flags = 0
  local kind = kindOf(c.kind)
  local s = kind.read(c)
  if not s then return answer('T') end
  if c.kind ~= 'r' and call('SET', keys[2], '1', 'NX', 'PX', 600000) then
    local back = tonumber(args[6])
    -- No two resets are the same one, not in one microsecond nor where the clock went back.
    if not back then kind.reset(c, max(now, s.generation + 1))
    elseif back < 0 then kind.put(c, s, -back, maxUnits)
    else backOf(c.kind).adjust(c, s, back) end
    wrote()
  end
  return answer('P', tell(list, (look(list))))
end
`

/** KEYS: record. Says that this replica is there. Answers how many there are. */
const heartbeatLua = `
local function heartbeat()
  call('HSET', record, 'a:' .. replica, nowMs + lifeMs)
  return answer('H', {tend()})
end
`

/**
 * As {@link reserveLua}, for what runs already while the memory of it was lost: counts it again, whatever the limit is, unless it
 * is known or over.
 */
const restoreLua = `
local function restore()
  local id, ttlMs = args[6], tonumber(args[7])
  if holdAt(keys[2]) then return answer('A') end
  local list = charges(3, args[8])
  local hold = {replica = replica, expires = now + ttlMs * 1000, step = 0, parts = list, answer = '', stepAnswer = ''}
  local states = {}
  for i, c in ipairs(list) do
    states[i] = kindOf('r').read(c)
    states[i].wait = 0
    take(c, states[i], hold, id)
  end
  hold.answer = packAll(tell(list, states))
  storeHold(keys[2], hold)
  return answer('S')
end
`

const operations = {
  reserve: { parts: [...counting, holdsLua], lua: reserveLua },
  topUp: { parts: [...counting, holdsLua], lua: topUpLua },
  settle: { parts: [...counting, holdsLua], lua: settleLua },
  peek: { parts: counting, lua: peekLua },
  adjust: { parts: counting, lua: adjustLua },
  heartbeat: { parts: [recordLua], lua: heartbeatLua },
  restore: { parts: [...counting, holdsLua], lua: restoreLua },
} as const

type Operation = keyof typeof operations
const names = Object.keys(operations) as Operation[]
