/**
 * The beginning of every script: the time, and whether the server remembers what it was told (see `memory-record.ts`).
 *
 * KEYS[1] is the record. ARGV: 1 this replica, 2 the epoch that it knows or nothing, 3 how many of its writes it knows to
 * be done, 4 an epoch in case there is none, 5 how long a replica counts as there after its last sign, milliseconds.
 *
 * `timeUs` and `spareMs` stand before it, see `scripts.ts`. All numbers are whole and below 2^53:
 * as such they reach commands and answers whole. Where one becomes part of a text, `text` writes it: Lua would with 14 digits.
 */
export const recordLua = `
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local maxUnits, dayMs = 4503599627370496, 86400000
local recordMs, resetMs = 400 * dayMs, 8 * dayMs
local function text(number) return string.format('%.0f', number) end

-- Of one operation: a library is one for all of them.
local call, keys, args, now, nowMs, record, replica, lifeMs, own, epoch, lostMs, writes

local function begin(itsKeys, itsArgs)
  call, keys, args = redis.call, itsKeys, itsArgs
  now = timeUs()
  nowMs = floor(now / 1000)
  record, replica, lifeMs = keys[1], args[1], tonumber(args[5])
  own = call('HMGET', record, 'epoch', 'lost', 'born', 'w:' .. replica, 'a:' .. replica)
  epoch, lostMs, writes = own[1], tonumber(own[2] or 0), tonumber(own[4] or 0)
  local known = args[2]
  if not epoch then
    epoch = args[4]
    if known ~= '' then lostMs = nowMs end
    call('HSET', record, 'epoch', epoch, 'born', nowMs, 'lost', lostMs)
    call('PEXPIRE', record, recordMs)
  elseif known ~= '' and known ~= epoch then
    -- Whoever came first after the loss knew of none, and began a new epoch.
    local bornMs = tonumber(own[3] or nowMs)
    if lostMs < bornMs then
      lostMs = bornMs
      call('HSET', record, 'lost', lostMs)
    end
  elseif known == epoch and writes < tonumber(args[3]) then
    lostMs = nowMs
    writes = tonumber(args[3])
    call('HSET', record, 'lost', lostMs, 'w:' .. replica, args[3])
  end
end

-- Has the record outlive what is counted, and forgets replicas of which nothing was heard for a week. How many are there.
local function tend()
  if call('PTTL', record) < recordMs then call('PEXPIRE', record, recordMs * 5 / 4) end
  local all = call('HGETALL', record)
  local there = 0
  for i = 1, #all, 2 do
    local name = string.match(all[i], '^a:(.+)$')
    if name then
      local untilMs = tonumber(all[i + 1])
      if untilMs > nowMs then there = there + 1
      elseif untilMs < nowMs - 7 * dayMs then call('HDEL', record, 'a:' .. name, 'w:' .. name) end
    end
  end
  return there
end

-- To be said once by each call that wrote something.
local function wrote()
  writes = writes + 1
  call('HSET', record, 'w:' .. replica, writes)
  -- In a cluster a replica of which nothing runs here gives no signs, and must not be forgotten: its writes would seem lost.
  if tonumber(own[5] or 0) < nowMs - dayMs then
    own[5] = nowMs
    call('HSET', record, 'a:' .. replica, nowMs)
    tend()
  end
end

-- Kind, time, epoch, writes and loss, and behind them the numbers of \`rest\`.
local function answer(kind, rest)
  if not rest then return {kind, now, epoch, writes, lostMs} end
  return {kind, now, epoch, writes, lostMs, unpack(rest)}
end

-- How long a counter is kept that matters that long: what was reset is remembered for a while.
local function lifeOf(s, ms)
  if s.generation ~= 0 then ms = max(ms, s.generation / 1000 + resetMs - nowMs) end
  return ceil(ms + spareMs)
end

-- Says that this replica is there, where it has not for a while.
local function alive()
  if tonumber(own[5] or 0) < nowMs + lifeMs / 2 then
    own[5] = nowMs + lifeMs
    call('HSET', record, 'a:' .. replica, own[5])
  end
end
`
