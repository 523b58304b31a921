-- Settle: bring what a call took to its final amounts, once.
-- KEYS: the call's record, then the bucket of each final.
-- ARGV: call, seconds to keep the record, then for each final:
--       kind, window, n, at, item.
-- Goes back what the record says was taken, where it was taken. So a take that
-- never arrived has nothing to give back, and one that comes after this finds
-- its call ended. The record may name buckets that no final does; they carry
-- the same hash tag.
local call, keep = ARGV[1], ARGV[2]
local record = read(KEYS[1])
if record['end'] then return { call, 'again' } end

local function count(key, s) return tonumber(redis.call('HGET', key, text(s)) or 0) end

-- sub takes n from a slot, never below zero, and returns how much it took.
local function sub(key, s, n)
  local had = count(key, s)
  n = math.min(n, had)
  if n > 0 and n == had then
    redis.call('HDEL', key, text(s))
  elseif n > 0 then
    redis.call('HINCRBY', key, text(s), text(-n))
  end
  return n
end

local settle = {}

function settle.sums(key, taken, f)
  local mine, n = {}, f.n
  for s, m in string.gmatch(taken, '(%S+) (%S+)') do
    mine[#mine + 1] = { tonumber(s), tonumber(m) }
    n = n - m
  end
  if n > 0 then
    local s = mine[1] and mine[1][1] or index(f.w, f.at > 0 and math.min(f.at, now) or now)
    if f.w < 0 or s > index(f.w, now) - span(f.w) then add(key, f.w, s, count(key, s), n) end
  end
  for i = #mine, 1, -1 do
    if n < 0 then n = n + sub(key, mine[i][1], math.min(-n, mine[i][2])) end
  end
end

-- An item that another call has used since stays counted.
function settle.distinct(key, taken, f)
  local s, new, item = string.match(taken, '^(%S+) (%d) (.*)$')
  if not s and f.n > 0 then
    redis.call('HSET', key, f.item, text(index(f.w, now)) .. ' ' .. call)
    expire(key, f.w)
  elseif new == '1' and f.n == 0 and redis.call('HGET', key, item) == s .. ' ' .. call then
    redis.call('HDEL', key, item)
  end
end

function settle.leases(key)
  redis.call('ZREM', key, call)
end

for i = 2, #KEYS do
  local a, key = 3 + (i - 2) * 5, KEYS[i]
  settle[ARGV[a]](key, record[key] or '', { w = tonumber(ARGV[a + 1]), n = tonumber(ARGV[a + 2]), at = tonumber(ARGV[a + 3]), item = ARGV[a + 4] })
  record[key] = nil
end
record.open = nil
for key, taken in pairs(record) do
  settle[string.match(key, '}:(%l+):')](key, taken, { n = 0 })
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'end', '1')
redis.call('EXPIRE', KEYS[1], keep)
return { call, 'settled' }
