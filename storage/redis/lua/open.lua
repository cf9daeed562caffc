-- SPDX-License-Identifier: Apache-2.0
--
-- open <kind>... looks at what is under the prefix, prepares it if that is nothing, and
-- tries every command that scripts use: a user without the right to one would otherwise
-- leave a step half done. It returns the commands that were refused.

local found = redis.call('TYPE', meta).ok
if found ~= 'none' and found ~= 'hash' then
  return { 'foreign', found }
end
if found == 'none' or not redis.call('HGET', meta, 'format') then
  local names = { 'feed', 'unused' }
  for i = 4, #ARGV do
    names[#names + 1] = 'ends:' .. ARGV[i]
  end
  for _, name in ipairs(names) do
    if redis.call('EXISTS', base .. name) == 1 then
      return { 'formatless', base .. name }
    end
  end
  if found == 'hash' then
    return { 'formatless', meta }
  end
end

if redis.call('HGET', meta, 'importing') == '1' then
  return { 'half' }
end

local key = base .. 'probe'
redis.pcall('DEL', key)
local reply = { 'denied' }
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    reply[#reply + 1] = (select(1, ...)) .. ': ' .. answer.err
  end
end
try('TIME')
try('HSET', key, 'a', '1')
try('HGET', key, 'a')
try('HINCRBY', key, 'a', '1')
redis.pcall('DEL', key)
try('SET', key, 'a')
try('GET', key)
try('EXISTS', key)
redis.pcall('DEL', key)
try('SADD', key, 'a')
try('SMEMBERS', key)
try('SRANDMEMBER', key, '1')
try('SCARD', key)
try('SREM', key, 'a')
try('ZADD', key, '+inf', 'a')
try('ZRANGE', key, '0', '0')
try('ZRANGEBYSCORE', key, '-inf', '1', 'LIMIT', '0', '1')
try('ZRANGEBYLEX', key, '-', '+', 'LIMIT', '0', '1')
try('ZCARD', key)
try('ZREM', key, 'a')
try('XADD', key, '1-1', 'a', '1')
try('XRANGE', key, '-', '+', 'COUNT', '1')
try('XTRIM', key, 'MINID', '=', '1-2')
try('DEL', key)
if #reply > 1 then
  return reply
end
return prepare() or { 'ok' }
