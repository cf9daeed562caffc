-- SPDX-License-Identifier: Apache-2.0
--
-- changes <after> <count> returns position, kind and name of changes in turn. A
-- position whose entry is not there was dropped, or is of a history that this server
-- does not have: it was flushed, restored, or took over without all changes.

local after = ARGV[4]
local at = redis.call('HGET', meta, 'head')
if not at then
  return { 'missed' }
end
local reply = { 'ok' }
if after == at then
  return reply
end
if after ~= redis.call('HGET', meta, 'low') and #redis.call('XRANGE', base .. 'feed', after, after) == 0 then
  return { 'missed' }
end
local entries = redis.call('XRANGE', base .. 'feed', '(' .. after, '+', 'COUNT', ARGV[5])
if #entries == 0 then -- the head says that there are some
  return { 'missed' }
end
for _, entry in ipairs(entries) do
  local field = {}
  for i = 1, #entry[2], 2 do
    field[entry[2][i]] = entry[2][i + 1]
  end
  reply[#reply + 1] = entry[1]
  reply[#reply + 1] = field['k']
  reply[#reply + 1] = field['i']
end
return reply
