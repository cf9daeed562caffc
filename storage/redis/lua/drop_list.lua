-- SPDX-License-Identifier: Apache-2.0
--
-- drop_list <kind> <list> <count> <announce> <fence> deletes at most <count> of the
-- records on a list, and returns how many are left on it and what the feed calls those
-- that went, if <announce> is 1. An entry whose record says that it belongs elsewhere
-- goes and the record stays. See drop for <fence>.

local refused = prepare()
if refused then
  return refused
end

local kind, list = ARGV[4], ARGV[5]
local members = base .. kind .. ':' .. list
local names = redis.call('SRANDMEMBER', members, ARGV[6])
local reply = { 'ok', 0 }
for _, name in ipairs(names) do
  local raw = redis.call('GET', base .. kind .. ':' .. name)
  local line = raw and head(raw)
  local listed = false
  if line then
    each_list(line.lists, function(l)
      listed = listed or l == list
    end)
  end
  if listed then
    remove(kind, name, line)
    if ARGV[7] == '1' then
      announce(kind, line.name)
      reply[#reply + 1] = line.name
    end
  else
    if raw and not line then
      remove(kind, name, nil)
    end
    redis.call('SREM', members, name)
  end
end
if #names == 0 and ARGV[8] == '1' then
  redis.call('HINCRBY', meta, 'fence', 1)
end
reply[2] = redis.call('SCARD', members)
return reply
