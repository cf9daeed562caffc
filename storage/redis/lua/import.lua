-- SPDX-License-Identifier: Apache-2.0
--
-- import <stage> ... fills an empty database. <stage> is "begin", which refuses one that
-- is not empty; "put", followed by kind, name and value of each record; or "end", after
-- which nobody goes on from a position in the feed of before. One that does not come to
-- its end leaves a mark, and nobody opens what it left.

local refused = prepare()
if refused then
  return refused
end

local stage = ARGV[4]
if stage == 'begin' then
  if redis.call('HGET', meta, 'importing') == '1' then
    return { 'exists' }
  end
  for i = 5, #ARGV do
    if redis.call('EXISTS', ends_of(ARGV[i])) == 1 then
      return { 'exists' }
    end
  end
  redis.call('HSET', meta, 'importing', '1')
elseif stage == 'put' then
  for i = 5, #ARGV, 3 do
    local raw = redis.call('GET', base .. ARGV[i] .. ':' .. ARGV[i + 1])
    put(ARGV[i], ARGV[i + 1], ARGV[i + 2], raw and head(raw) or nil)
  end
else
  begin_feed()
  redis.call('HSET', meta, 'importing', '0')
end
return { 'ok' }
