-- SPDX-License-Identifier: Apache-2.0
--
-- load <kind> <name>... returns the time and the records, false for those that are
-- not there.

local reply = { now() }
for i = 5, #ARGV do
  reply[#reply + 1] = redis.call('GET', base .. ARGV[4] .. ':' .. ARGV[i])
end
return reply
