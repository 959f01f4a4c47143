/**
 * The beginning of every script: the time, and whether the server remembers what it was told (see `memory-record.ts`).
 *
 * KEYS[1] is the record. ARGV: 1 this replica, 2 the epoch that it knows or nothing, 3 how many of its writes it knows to
 * be done, 4 an epoch in case there is none, 5 how long a replica counts as there after its last sign, milliseconds.
 *
 * `timeUs` and `spareMs` stand before it, see `scripts.ts`. Numbers leave as text by `text`: Lua would write large ones with 14
 * digits, and cut fractions off what it returns.
 */
export const recordLua = `
local call, floor, ceil, min, max = redis.call, math.floor, math.ceil, math.min, math.max
local maxUnits = 4503599627370496
local function text(number) return string.format('%.0f', number) end

local now = timeUs()
local nowMs = floor(now / 1000)

local record, replica, known = KEYS[1], ARGV[1], ARGV[2]
local lifeMs = tonumber(ARGV[5])
local recordMs, resetMs = 400 * 86400000, 8 * 86400000
local own = call('HMGET', record, 'epoch', 'lost', 'born', 'w:' .. replica)
local epoch, lostMs, writes = own[1], tonumber(own[2] or 0), tonumber(own[4] or 0)
if not epoch then
  epoch = ARGV[4]
  if known ~= '' then lostMs = nowMs end
  call('HSET', record, 'epoch', epoch, 'born', text(nowMs), 'lost', text(lostMs))
  call('PEXPIRE', record, text(recordMs))
elseif known ~= '' and known ~= epoch then
  -- Whoever came first after the loss knew of none, and began a new epoch.
  local bornMs = tonumber(own[3] or nowMs)
  if lostMs < bornMs then
    lostMs = bornMs
    call('HSET', record, 'lost', text(lostMs))
  end
elseif known == epoch and writes < tonumber(ARGV[3]) then
  lostMs = nowMs
  writes = tonumber(ARGV[3])
  call('HSET', record, 'lost', text(lostMs), 'w:' .. replica, ARGV[3])
end

-- To be said once by each call that wrote something.
local function wrote() writes = call('HINCRBY', record, 'w:' .. replica, 1) end

local function answer(kind, rest)
  return kind .. ' ' .. text(now) .. ' ' .. epoch .. ' ' .. text(writes) .. ' ' .. text(lostMs) .. (rest or '')
end

-- Keeps a key for at least that long; seldom a write of its own.
local function keep(key, ms)
  if call('PTTL', key) < ms then call('PEXPIRE', key, text(ms + ms / 4 + spareMs)) end
end
`
