-- SPDX-License-Identifier: Apache-2.0
--
-- head returns the position after the latest change.

local refused = prepare()
if refused then
  return refused
end
return { 'ok', redis.call('HGET', meta, 'head') or begin_feed() }
