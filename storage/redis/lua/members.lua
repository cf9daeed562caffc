-- SPDX-License-Identifier: Apache-2.0
--
-- members <kind> <list> returns the names on a list.

return redis.call('SMEMBERS', base .. ARGV[4] .. ':' .. ARGV[5])
