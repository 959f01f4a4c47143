/**
 * How much runs, a hash for each replica. Beside it a sorted set of what runs, `cost:replica:id` by the end of its life (us): what
 * nobody ends, ends. What runs at a replica that gave no sign for a while is not counted until it does.
 */
export const concurrencyLua = `
local function concurrency()
  local kind = {}

  local function setOf(key)
    local brace = string.find(key, '}', 1, true)
    return string.sub(key, 1, brace) .. '|' .. string.sub(key, brace + 2)
  end

  local function stop(key, set, member)
    if call('ZREM', set, member) == 0 then return end
    local cost, holder = string.match(member, '^(%d+):([^:]*):')
    if call('HINCRBY', key, holder, '-' .. cost) <= 0 then call('HDEL', key, holder) end
  end

  local function memberOf(part, hold, id) return text(part.left) .. ':' .. hold.replica .. ':' .. id end

  function kind.read(c)
    local s = {running = 0, generation = 0}
    local all = call('HGETALL', c.key)
    if #all == 0 then return s end
    local set = setOf(c.key)
    local over = call('ZRANGEBYSCORE', set, '-inf', now)
    if #over > 0 then
      for _, member in ipairs(over) do stop(c.key, set, member) end
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

  function kind.put(c, s, units)
    s.running = s.running + units
    return units, 0, 1
  end

  function kind.run(part, hold, id)
    if part.left == 0 then return end
    local key, lifeMs = part.key, (hold.expires - now) / 1000
    local set = setOf(key)
    call('HINCRBY', key, hold.replica, part.left)
    call('ZADD', set, hold.expires, memberOf(part, hold, id))
    -- Both end together.
    if call('PTTL', set) < lifeMs then
      local keptMs = ceil(lifeMs + lifeMs / 4 + spareMs)
      call('PEXPIRE', key, keptMs)
      call('PEXPIRE', set, keptMs)
    end
    alive()
  end

  function kind.stop(part, hold, id)
    if part.left > 0 then stop(part.key, setOf(part.key), memberOf(part, hold, id)) end
  end

  function kind.wait(c, s)
    local need = max(1, c.cost)
    if need > c.limit then return forever end
    return s.running + need <= c.limit and 0 or 1000000
  end

  function kind.tell(c, s) return max(0, c.limit - s.running), 0 end

  return kind
end
`
