-- SPDX-License-Identifier: Apache-2.0
--
-- page <kind> <after> <count> returns names in their order. All of the kind have the
-- same score, being without an end.

local from = '-'
if ARGV[5] ~= '' then
  from = '(' .. ARGV[5]
end
local names = redis.call('ZRANGEBYLEX', ends_of(ARGV[4]), from, '+', 'LIMIT', 0, ARGV[6])
table.insert(names, 1, 'ok')
return names
