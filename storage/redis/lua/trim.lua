-- SPDX-License-Identifier: Apache-2.0
--
-- trim <count> <age> drops at most <count> changes older than <age> seconds from the
-- feed, notes up to where, and returns how many there were.

local refused = prepare()
if refused then
  return refused
end

local feed = base .. 'feed'
local last, count = nil, 0
for _, entry in ipairs(redis.call('XRANGE', feed, '-', '+', 'COUNT', ARGV[4])) do
  local at
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 't' then
      at = tonumber(entry[2][i + 1])
    end
  end
  if at and at + tonumber(ARGV[5]) >= now_s then
    break
  end
  last, count = entry[1], count + 1
end
if last then
  local seq, part = string.match(last, '^(%d+)-(%d+)$')
  redis.call('HSET', meta, 'low', last)
  redis.call('XTRIM', feed, 'MINID', '=', seq .. '-' .. string.format('%.0f', tonumber(part) + 1))
end
return { 'ok', count }
