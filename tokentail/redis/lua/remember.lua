-- KEYS: an Idempotency-Key. ARGV: job and body digest, separated by a space; how long it is kept (milliseconds); the
-- binding, in the same form, that gives way to this one.
-- Returns the binding that holds from now on, and 1 if one that could not be read had to be replaced, else 0.
local found = redis.call('TYPE', KEYS[1])
found = type(found) == 'table' and found['ok'] or found
if found == 'string' then
  local bound = redis.call('GET', KEYS[1])
  if bound == ARGV[3] then
    found = 'none'
  elseif #bound == #ARGV[1] and string.match(bound, '^[0-9a-hjkmnp-tv-z]+ [0-9a-f]+$') and string.find(bound, ' ') == string.find(ARGV[1], ' ') then
    return {bound, 0}
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {ARGV[1], found == 'none' and 0 or 1}
