-- SPDX-License-Identifier: Apache-2.0
--
-- commit <kind> <name> <old> <new> <live> <announced> replaces a record if it is still
-- the one the caller has seen, byte for byte. An empty <old> is none, an empty <new>
-- deletes. <live> is 1 if the caller found it before its end: then that must still
-- hold. <announced> is for the feed, empty for nothing.

local refused = prepare()
if refused then
  return refused
end

local kind, name, seen, value = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local raw = redis.call('GET', base .. kind .. ':' .. name)
if (raw or '') ~= seen then
  return { 'conflict' }
end
local old = nil
if raw then
  old = head(raw)
  if not old then
    return { 'damaged' }
  end
  if ARGV[8] == '1' and due(old.ends) then
    return { 'conflict' }
  end
end
if value == '' then
  remove(kind, name, old)
else
  put(kind, name, value, old)
end
if ARGV[9] ~= '' then
  announce(kind, ARGV[9])
end
return { 'ok' }
