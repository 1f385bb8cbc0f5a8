-- KEYS: any. ARGV: the type that each key must have if it exists.
-- Drops the keys of another type. Returns the dropped keys, each followed by the type that it had.
local dropped = {}
for i = 1, #KEYS do
  local found = redis.call('TYPE', KEYS[i])
  found = type(found) == 'table' and found['ok'] or found
  if found ~= 'none' and found ~= ARGV[i] then
    redis.call('DEL', KEYS[i])
    dropped[#dropped + 1] = KEYS[i]
    dropped[#dropped + 1] = found
  end
end
return dropped
