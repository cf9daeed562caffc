-- SPDX-License-Identifier: Apache-2.0
--
-- members <kind> <list> returns the names on a list.

local names = redis.call('SMEMBERS', base .. ARGV[4] .. ':' .. ARGV[5])
table.insert(names, 1, 'ok')
return names
