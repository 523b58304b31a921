-- Take and extend: all claims or none.
-- KEYS: the call's record, then the bucket of each claim.
-- ARGV: call, verb, seconds to keep the record, then for each claim:
--       kind, window, max, n, force, item.
-- Returns call, how it went, then for each claim: used, over, wait, reset, at.
local call, verb, keep = ARGV[1], ARGV[2], ARGV[3]
local record = read(KEYS[1])
local again = record['end'] or verb == 'take' and record.open -- takes nothing more
local fits = verb == 'take' or record.open

-- frees is the moment from which no more than room is used. Slots are sorted
-- here, for the few that are refused.
local function frees(c, room)
  table.sort(c.slots, function(a, b) return a[1] < b[1] end)
  local used = c.used
  for _, x in ipairs(c.slots) do
    used = used - x[2]
    if used <= room then return start(c.w, x[1] + span(c.w)) end
  end
  return start(c.w, c.s + span(c.w))
end

-- slotted reads a hash of slots: of sums slot to amount, of distinct items
-- item to "slot call".
local function slotted(c)
  local all, found = redis.call('HGETALL', c.key), {}
  local first, last
  for i = 1, #all, 2 do
    local x = { tonumber(all[i]), tonumber(all[i + 1]), all[i] }
    if c.kind == 'distinct' then x = { tonumber(string.match(all[i + 1], '^%S+')), 1, all[i] } end
    first, last = math.min(first or x[1], x[1]), math.max(last or x[1], x[1])
    found[#found + 1] = x
  end
  -- A clock that steps back finds the old period again, and the newest slot.
  c.s = index(c.w, now)
  if first then c.s = math.max(c.s, c.w < 0 and first or last) end
  c.slots, c.stale, c.used, c.known = {}, {}, 0, {}
  for _, x in ipairs(found) do
    if c.s - span(c.w) < x[1] and x[1] <= c.s then
      c.slots[#c.slots + 1] = x
      c.used = c.used + x[2]
      c.oldest = math.min(c.oldest or x[1], x[1])
      c.known[x[3]] = x[2]
    elseif x[1] < c.s - 1 then
      c.stale[#c.stale + 1] = x[3]
    end
  end
  c.at = now
  if index(c.w, now) ~= c.s then c.at = c.w < 0 and start(c.w, c.s) or start(c.w, c.s + 1) - 1 end
  c.reset = c.oldest and start(c.w, c.oldest + span(c.w)) - now or 0
end

local look = {}

function look.sums(c)
  slotted(c)
  c.over = not again and c.used + c.n > c.max
  if c.over then c.wait = frees(c, c.max - c.n) - now end
end

function look.distinct(c)
  slotted(c)
  c.new = not c.known[c.item]
  c.n = c.new and 1 or 0
  c.over = not again and c.new and c.used + 1 > c.max
  if c.over then c.wait = frees(c, c.max - 1) - now end
end

-- lapse is how long until the lease with that rank does.
local function lapse(c, rank)
  return redis.call('ZRANGE', c.key, rank, rank, 'WITHSCORES')[2] - now
end

function look.leases(c)
  redis.call('ZREMRANGEBYSCORE', c.key, '-inf', text(now))
  c.used, c.n, c.at, c.reset = redis.call('ZCARD', c.key), 1, now, 0
  c.over = not again and c.used + 1 > c.max
  if c.used > 0 then c.reset = lapse(c, 0) end
  if c.over then c.wait = lapse(c, c.used - c.max) end
end

local take = {}

local function forget(c)
  if #c.stale > 0 then redis.call('HDEL', c.key, unpack(c.stale, 1, math.min(#c.stale, 1000))) end
end

function take.sums(c)
  if c.n == 0 then return '' end
  local had = c.known[text(c.s)] or 0
  if had == 0 then forget(c) end
  add(c.key, c.w, c.s, had, c.n)
  return text(c.s) .. ' ' .. text(c.n) .. ' '
end

function take.distinct(c)
  forget(c)
  redis.call('HSET', c.key, c.item, text(c.s) .. ' ' .. call)
  expire(c.key, c.w)
  return text(c.s) .. ' ' .. text(c.n) .. ' ' .. c.item
end

function take.leases(c)
  redis.call('ZADD', c.key, text(now + c.w), call)
  redis.call('EXPIRE', c.key, text(math.ceil(c.w / 1000000) + 60))
  return text(c.w)
end

local claims = {}
for i = 2, #KEYS do
  local a = 4 + (i - 2) * 6
  local c = { key = KEYS[i], kind = ARGV[a], w = tonumber(ARGV[a + 1]), max = tonumber(ARGV[a + 2]), n = tonumber(ARGV[a + 3]), force = ARGV[a + 4] == '1', item = ARGV[a + 5], wait = 0 }
  look[c.kind](c)
  fits = fits and (c.force or not c.over)
  claims[#claims + 1] = c
end

if fits and not again then
  local took = { 'open', '1' }
  for _, c in ipairs(claims) do
    took[#took + 1] = c.key
    local mine = take[c.kind](c)
    if c.kind == 'sums' then mine = (record[c.key] or '') .. mine end
    took[#took + 1] = mine
    c.used = c.used + c.n
    if c.n > 0 and c.reset == 0 then c.reset = c.kind == 'leases' and c.w or start(c.w, c.s + span(c.w)) - now end
  end
  redis.call('HSET', KEYS[1], unpack(took))
  redis.call('EXPIRE', KEYS[1], keep)
end

local answer = { call, fits and 'taken' or 'refused' }
for _, c in ipairs(claims) do
  answer[#answer + 1] = c.used
  answer[#answer + 1] = c.over and 1 or 0
  answer[#answer + 1] = c.over and c.wait or 0
  answer[#answer + 1] = c.reset
  answer[#answer + 1] = c.at
end
return answer
