-- SPDX-License-Identifier: Apache-2.0
--
-- insert <kind> <name> <value> <limit> <age> stores a new record. One past its end
-- does not hold the name. At most <limit> records with an age are kept, for which the
-- oldest above <age> seconds make room.

local refused = prepare()
if refused then
  return refused
end

local kind, name, value = ARGV[4], ARGV[5], ARGV[6]
local limit, least = tonumber(ARGV[7]), tonumber(ARGV[8])

-- oldest is an unused client that can go, and its line. Names without a record are
-- of a damaged database.
local function oldest()
  local found = redis.call('ZRANGEBYSCORE', ends_of(kind), '-inf', score(now_s, now_n), 'LIMIT', 0, 1)
  if found[1] then
    local raw = redis.call('GET', base .. kind .. ':' .. found[1])
    local line = raw and head(raw)
    if not line or due(line.ends) then
      return found[1], line
    end
  end
  found = redis.call('ZRANGE', unused, 0, 0)
  if not found[1] then
    return nil
  end
  local raw = redis.call('GET', base .. kind .. ':' .. found[1])
  local line = raw and head(raw)
  if not line or line.age == '-' then
    return found[1], line
  end
  local s, n = instant(line.age)
  if s + least < now_s or (s + least == now_s and n < now_n) then
    return found[1], line
  end
  return nil
end

local raw = redis.call('GET', base .. kind .. ':' .. name)
local old = nil
if raw then
  old = head(raw)
  if not old then
    return { 'damaged' }
  end
  if not due(old.ends) then
    return { 'exists' }
  end
end

if head(value).age ~= '-' then
  -- Bounded, for the limit may have been lowered by far: the caller asks again.
  for _ = 1, 200 do
    if redis.call('ZCARD', unused) < limit then
      break
    end
    local victim, line = oldest()
    if not victim then
      return { 'full' }
    end
    if line and line.age == '-' then
      redis.call('ZREM', unused, victim)
    else
      remove(kind, victim, line)
    end
    if victim == name then
      old = nil
    end
  end
  if redis.call('ZCARD', unused) >= limit then
    return { 'again' }
  end
end

put(kind, name, value, old)
return { 'ok' }
