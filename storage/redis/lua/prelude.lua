-- SPDX-License-Identifier: Apache-2.0
--
-- Before every script. KEYS[1] is <prefix>:meta, from which all other names are
-- made: they share its hash tag, and with it its slot. ARGV[1] is the time as
-- "seconds:nanoseconds" or empty for the time of the server, ARGV[2] the format,
-- ARGV[3] the random part of a feed position. The arguments of a script follow.
--
-- A record is a string: a line for scripts, then what Go wrote. The line is
-- "<end> <age> <lists> <name>": when it ends; for an unused client, since when it
-- is there; the lists of owners it is on; what the feed calls it. "-" is none.
--
-- Scripts are not undone when they fail. So what can fail comes first: the format, and
-- then a write that the server refuses when it is full, read-only or cannot save. After
-- a first write it refuses no other. A deletion is never refused for want of memory, and
-- so neither is the change that announces it: one can revoke at a server that is full.

local meta = KEYS[1]
local base = string.sub(meta, 1, -5)

local function instant(text)
  local seconds, nanos = string.match(text, '^(-?%d+):(%d+)$')
  return tonumber(seconds), tonumber(nanos)
end

local now_s, now_n
if ARGV[1] == '' then
  local t = redis.call('TIME')
  now_s, now_n = tonumber(t[1]), tonumber(t[2]) * 1000
else
  now_s, now_n = instant(ARGV[1])
end

local function now()
  return string.format('%.0f:%.0f', now_s, now_n)
end

-- due is true from the very instant on, as the Expired methods of records are.
local function due(at)
  if at == '-' then
    return false
  end
  local s, n = instant(at)
  return s < now_s or (s == now_s and n <= now_n)
end

-- score rounds down to a microsecond, which is as much as a score can hold.
local function score(s, n)
  return string.format('%.6f', s + math.floor(n / 1000) / 1000000)
end

local function score_of(at)
  if at == '-' then
    return '+inf'
  end
  return score(instant(at))
end

-- head reads the line of a record, nil if there is none.
local function head(value)
  local ends, age, lists, name = string.match(value, '^(%S+) (%S+) (%S+) (%S+)\n')
  if not ends then
    return nil
  end
  return { ends = ends, age = age, lists = lists, name = name }
end

local function each_list(lists, fn)
  if lists ~= '-' then
    for list in string.gmatch(lists, '[^,]+') do
      fn(list)
    end
  end
end

local function ends_of(kind)
  return base .. 'ends:' .. kind
end

local unused = base .. 'unused'

-- put stores a record; old is the line of the one in its place, or nil.
local function put(kind, name, value, old)
  local new = head(value)
  redis.call('SET', base .. kind .. ':' .. name, value)
  redis.call('ZADD', ends_of(kind), score_of(new.ends), name)
  if new.age ~= '-' then
    redis.call('ZADD', unused, score_of(new.age), name)
  elseif old and old.age ~= '-' then
    redis.call('ZREM', unused, name)
  end
  if old and old.lists == new.lists then
    return
  end
  if old then
    each_list(old.lists, function(list)
      redis.call('SREM', base .. kind .. ':' .. list, name)
    end)
  end
  each_list(new.lists, function(list)
    redis.call('SADD', base .. kind .. ':' .. list, name)
  end)
end

-- remove deletes a record with the line old. Without one, as of a damaged record,
-- entries of lists stay: whoever follows one finds nothing and takes it away.
local function remove(kind, name, old)
  redis.call('DEL', base .. kind .. ':' .. name)
  redis.call('ZREM', ends_of(kind), name)
  if not old or old.age ~= '-' then
    redis.call('ZREM', unused, name)
  end
  if old then
    each_list(old.lists, function(list)
      redis.call('SREM', base .. kind .. ':' .. list, name)
    end)
  end
end

-- begin_feed starts the feed at a position that none before was at: the time in
-- milliseconds grows faster than a counter of changes.
local function begin_feed()
  local t = redis.call('TIME')
  local at = string.format('%.0f-0', tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000))
  redis.call('DEL', base .. 'feed')
  redis.call('HSET', meta, 'head', at, 'low', at)
  return at
end

-- prepare is first in every script that writes. An empty database, as after a
-- FLUSHALL, gets its format; one of another format is left alone.
local function prepare()
  local format = redis.call('HGET', meta, 'format')
  if format == ARGV[2] then
    return nil
  end
  if format then
    return { 'format', format }
  end
  redis.call('HSET', meta, 'format', ARGV[2])
  begin_feed()
  return nil
end

-- announce appends a change to the feed.
local function announce(kind, name)
  local at = redis.call('HGET', meta, 'head') or begin_feed()
  local seq = tonumber(string.match(at, '^(%d+)-')) + 1
  at = string.format('%.0f-', seq) .. ARGV[3]
  redis.call('XADD', base .. 'feed', at, 'k', kind, 'i', name, 't', string.format('%.0f', now_s))
  redis.call('HSET', meta, 'head', at)
end
