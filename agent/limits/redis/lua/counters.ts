/**
 * The four kinds of counters, each a hash of its own key; their rules are those of the memory store, number for number.
 * `readers` say what one counts now, `takers` charge it, `backers` give back what a hold took.
 *
 * - gcra: l level, t time up to which it is drained (us), and the rate it was last charged by: w weight, k tick, d drain, c
 *   capacity
 * - sliding: u sum, h newest slice with something in it, o oldest, z length of a slice (us), n how many count, and what was
 *   used in each slice under its number
 * - calendar: u used, s and e begin and end of its span (ms)
 * - concurrency: how much runs, for each replica. Beside it a sorted set of what runs, `cost:replica:id` by the end of its
 *   life (us): what nobody ends, ends. What runs at a replica that gave no sign for a while is not counted until it does.
 * - in all but the last: g when it was reset by hand (us)
 *
 * A charge `c` has key, kind, cost and the numbers of its rule; a part of a hold is a charge with reserved, left, at, scale,
 * earlier and generation.
 */
export const countersLua = `
local forever = -1

local function readGcra(c)
  local v = call('HMGET', c.key, 'l', 't', 'w', 'g')
  local s = {level = 0, at = now, generation = v[4] or ''}
  if v[1] then
    local level, at, weight = tonumber(v[1]), tonumber(v[2]), tonumber(v[3])
    if weight ~= c.weight then level = min(maxUnits, ceil(level / weight * c.weight)) end
    local ticks = max(0, floor((now - at) / c.tick))
    s.level = max(0, level - ticks * c.drain)
    s.at = s.level == 0 and max(at, now) or at + ticks * c.tick
  end
  return s
end

local function storeGcra(c, s)
  call('HSET', c.key, 'l', text(s.level), 't', text(s.at), 'w', text(c.weight), 'k', text(c.tick),
    'd', text(c.drain), 'c', text(c.capacity))
  keep(c.key, ceil(s.level / c.drain) * c.tick / 1000)
end

local function putGcra(c, s, units, cap)
  local put = max(0, min(units * c.weight, min(cap, maxUnits) - s.level))
  s.level = s.level + put
  if put > 0 then storeGcra(c, s) end
  return put
end

-- The rate that a counter was last charged by: an edit since a hold was taken goes before what the hold knows.
local function presentRate(part)
  local v = call('HMGET', part.key, 'w', 'k', 'd', 'c')
  if not v[1] then return part end
  return {
    key = part.key, weight = tonumber(v[1]), tick = tonumber(v[2]), drain = tonumber(v[3]), capacity = tonumber(v[4])
  }
end

local function stillIn(part, c)
  local weight = part.scale == c.weight and part.left or floor(part.left / part.scale * c.weight)
  return max(0, weight - ceil(max(0, now - part.at) / c.tick) * c.drain)
end

local function recut(slice, from, to) return floor(((slice + 1) * from - 1) / to) end

local function unitsIn(c, s, slice)
  if s.slices then return s.slices[slice] or 0 end
  return tonumber(call('HGET', c.key, text(slice)) or 0)
end

local function recutAll(c, s, length)
  local slices = {}
  for slice = s.oldest, s.newest do
    local units = unitsIn(c, s, slice)
    local into = recut(slice, length, c.length)
    if units > 0 then slices[into] = (slices[into] or 0) + units end
  end
  s.slices, s.isRecut = slices, true
  s.oldest, s.newest = recut(s.oldest, length, c.length), recut(s.newest, length, c.length)
end

local function readSliding(c)
  local v = call('HMGET', c.key, 'u', 'h', 'o', 'z', 'g')
  local s = {sum = 0, slice = floor(now / c.length), generation = v[5] or ''}
  if not v[1] or v[1] == '0' then return s end
  s.sum, s.newest, s.oldest = tonumber(v[1]), tonumber(v[2]), tonumber(v[3])
  if tonumber(v[4]) ~= c.length then recutAll(c, s, tonumber(v[4])) end
  local first = s.slice - c.count
  if s.newest < first then
    s.sum, s.isStale = 0, true
    return s
  end
  s.slice = max(s.slice, s.newest)
  s.gone = {}
  while s.oldest < first do
    local units = unitsIn(c, s, s.oldest)
    s.sum = s.sum - units
    if s.slices then s.slices[s.oldest] = nil elseif units > 0 then s.gone[#s.gone + 1] = text(s.oldest) end
    s.oldest = s.oldest + 1
  end
  return s
end

-- What counts no more goes from the hash; what lies in other slices than before moves.
local function sweep(c, s)
  if s.isStale or s.isRecut then
    call('DEL', c.key)
    if s.generation ~= '' then
      call('HSET', c.key, 'g', s.generation)
      keep(c.key, resetMs)
    end
    if not s.isStale then
      for slice, units in pairs(s.slices) do call('HSET', c.key, text(slice), text(units)) end
    end
  elseif s.gone then
    for i = 1, #s.gone, 1000 do call('HDEL', c.key, unpack(s.gone, i, min(#s.gone, i + 999))) end
  end
  s.slices, s.isStale, s.isRecut, s.gone = nil, nil, nil, nil
end

local function storeSliding(c, s)
  call('HSET', c.key, 'u', text(s.sum), 'h', text(s.newest), 'o', text(s.oldest), 'z', text(c.length), 'n', text(c.count))
  keep(c.key, (s.newest + c.count + 2) * c.length / 1000 - nowMs)
end

local function putSliding(c, s, units, cap)
  local put = max(0, min(units, min(cap, maxUnits) - s.sum))
  if put == 0 then return 0 end
  sweep(c, s)
  call('HINCRBY', c.key, text(s.slice), text(put))
  if s.sum == 0 then s.oldest = s.slice end
  s.sum, s.newest = s.sum + put, s.slice
  storeSliding(c, s)
  return put
end

-- Gives how many there were to take. To be stored afterwards.
local function removeSliding(c, s, slice, units)
  local used = s.sum > 0 and unitsIn(c, s, slice) or 0
  local taken = min(units, used)
  if taken == 0 then return 0 end
  s.sum = s.sum - taken
  if taken < used then call('HINCRBY', c.key, text(slice), '-' .. text(taken))
  else
    call('HDEL', c.key, text(slice))
    while s.sum > 0 and s.newest > s.oldest and unitsIn(c, s, s.newest) == 0 do s.newest = s.newest - 1 end
  end
  return taken
end

-- As the counter was last charged.
local function presentSlices(part)
  local v = call('HMGET', part.key, 'z', 'n')
  if not v[1] then return part end
  return {key = part.key, length = tonumber(v[1]), count = tonumber(v[2])}
end

local function rescale(part, length)
  if part.scale == length then return end
  part.at = recut(part.at, part.scale, length)
  for i = 1, #part.earlier, 2 do part.earlier[i] = recut(part.earlier[i], part.scale, length) end
  part.scale = length
end

-- Begin and end of the span that holds the present; nothing where the caller has to send others.
local function presentSpan(c)
  for i = 1, 3 do
    if nowMs >= c.from[i] and nowMs < c.from[i + 1] then return c.from[i], c.from[i + 1] end
  end
end

local function readCalendar(c)
  local startMs, endMs = presentSpan(c)
  if not startMs then return end
  local v = call('HMGET', c.key, 'u', 's', 'e', 'g')
  local s = {used = 0, startMs = startMs, endMs = endMs, generation = v[4] or ''}
  if v[1] and nowMs < tonumber(v[3]) then
    s.used = tonumber(v[1])
    -- A clock that went back before the span does not open the one before again.
    if nowMs < tonumber(v[2]) then s.startMs, s.endMs = tonumber(v[2]), tonumber(v[3]) end
  end
  return s
end

local function storeCalendar(c, s)
  call('HSET', c.key, 'u', text(s.used), 's', text(s.startMs), 'e', text(s.endMs))
  keep(c.key, s.endMs - nowMs)
end

local function putCalendar(c, s, units, cap)
  local put = max(0, min(units, min(cap, maxUnits) - s.used))
  s.used = s.used + put
  if put > 0 then storeCalendar(c, s) end
  return put
end

-- Where nobody sent the spans of the present: the counter's own, or from now on as long as the last that is known.
local function guessSpan(part)
  if presentSpan(part) then return end
  local endMs = tonumber(call('HGET', part.key, 'e') or 0)
  local startMs = endMs > nowMs and tonumber(call('HGET', part.key, 's')) or nowMs
  local lengthMs = part.from[4] - part.from[3]
  if endMs <= nowMs then endMs = nowMs + lengthMs end
  part.from = {startMs, endMs, endMs, endMs}
end

local function setOf(key)
  local brace = string.find(key, '}', 1, true)
  return string.sub(key, 1, brace) .. '|' .. string.sub(key, brace + 2)
end

local function endRunning(key, set, member)
  if call('ZREM', set, member) == 0 then return end
  local cost, holder = string.match(member, '^(%d+):([^:]*):')
  if call('HINCRBY', key, holder, '-' .. cost) <= 0 then call('HDEL', key, holder) end
end

local function readConcurrency(c)
  local s = {running = 0, generation = ''}
  local all = call('HGETALL', c.key)
  if #all == 0 then return s end
  local set = setOf(c.key)
  local over = call('ZRANGEBYSCORE', set, '-inf', text(now))
  if #over > 0 then
    for _, member in ipairs(over) do endRunning(c.key, set, member) end
    all = call('HGETALL', c.key)
  end
  for i = 1, #all, 2 do
    local holder = all[i]
    if holder == replica or tonumber(call('HGET', record, 'a:' .. holder) or 0) > nowMs then
      s.running = s.running + tonumber(all[i + 1])
    end
  end
  return s
end

local function run(key, units, holder, id, expires)
  local set = setOf(key)
  call('HINCRBY', key, holder, text(units))
  call('ZADD', set, text(expires), text(units) .. ':' .. holder .. ':' .. id)
  keep(key, (expires - now) / 1000)
  keep(set, (expires - now) / 1000)
end

local readers = {g = readGcra, s = readSliding, c = readCalendar, r = readConcurrency}
`
