-- SPDX-License-Identifier: Apache-2.0
--
-- sweep <kind> <count> <skip> deletes records past their end. It looks at <count> names
-- after the first <skip>, and returns how many it looked at, how many stay and how many
-- records went. What cannot be read stays, for somebody to look at.

local refused = prepare()
if refused then
  return refused
end

local kind = ARGV[4]
local names = redis.call('ZRANGEBYSCORE', ends_of(kind), '-inf', score(now_s, now_n), 'LIMIT', ARGV[6], ARGV[5])
local stay, gone = 0, 0
for _, name in ipairs(names) do
  local raw = redis.call('GET', base .. kind .. ':' .. name)
  if not raw then
    redis.call('ZREM', ends_of(kind), name)
  else
    local line = head(raw)
    if line and due(line.ends) then
      remove(kind, name, line)
      gone = gone + 1
    else
      stay = stay + 1
    end
  end
end
return { 'ok', #names, stay, gone }
