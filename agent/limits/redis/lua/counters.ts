import { calendarLua } from './calendar.ts'
import { concurrencyLua } from './concurrency.ts'
import { gcraLua } from './gcra.ts'
import { slidingLua } from './sliding.ts'

/**
 * The four kinds of counters, each under a key of its own; their rules are those of the memory store, number for number.
 *
 * `read` gives what one counts now, `wait` and `tell` what that says of a charge; `put` charges it, and says how much, when and
 * in what measure. `give` gives back what a hold took, `owe` charges its debt, `adjust` takes units out by hand, `renew` brings a
 * part of a hold up to date before more is taken.
 *
 * The numbers of a counter stand in one string, 8 bytes each, which one command reads and another writes (over the old one,
 * where it is kept long enough: `SET` with an end takes four times as long); the last is when it was reset by hand (us), or 0.
 *
 * A charge `c` has key, kind, cost and the numbers of its rule; a part of a hold is a charge with reserved, left, at, scale,
 * earlier and generation.
 *
 * A script runs from its first line at each call, and functions are what it makes: those of a kind only where the kind is used.
 * A library makes them once (`npm run bench -- quota`).
 */
export const countersLua = `
local forever, packNumbers, unpackNumbers = -1, struct.pack, struct.unpack
${gcraLua}${slidingLua}${calendarLua}${concurrencyLua}
local kinds, backs = {}, {}

local function kindOf(letter)
  local kind = kinds[letter]
  if kind then return kind end
  if letter == 'g' then kind = gcra() elseif letter == 's' then kind = sliding()
  elseif letter == 'c' then kind = calendar() else kind = concurrency() end
  kinds[letter] = kind
  return kind
end

-- Of all kinds but concurrency.
local function backOf(letter)
  local back = backs[letter]
  if back then return back end
  local make = letter == 'g' and gcraBack or letter == 's' and slidingBack or calendarBack
  back = make(kindOf(letter))
  backs[letter] = back
  return back
end
`
