-- SPDX-License-Identifier: Apache-2.0
--
-- drop <kind> <name> <announced> <fence> deletes a record, past its end or not, and
-- readable or not. If it is gone already and <fence> is 1, something is written all the
-- same: a caller that waits for replicas then waits for what deleted it, too.

local refused = prepare()
if refused then
  return refused
end

local kind, name = ARGV[4], ARGV[5]
local raw = redis.call('GET', base .. kind .. ':' .. name)
if raw then
  remove(kind, name, head(raw))
  if ARGV[6] ~= '' then
    announce(kind, ARGV[6])
  end
elseif ARGV[7] == '1' then
  redis.call('HINCRBY', meta, 'fence', 1)
end
return { 'ok' }
