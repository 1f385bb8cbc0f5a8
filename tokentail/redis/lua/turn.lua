-- KEYS: the turn. ARGV: how long a turn lasts (milliseconds).
-- Returns 1 when the caller has the turn, 0 when another process has it, 2 when the caller has it because the key had
-- an expiry that no turn has: such a key would keep every process from sweeping.
-- The first write needs no memory, for the reason given in vital.lua.
redis.call('PEXPIRE', KEYS[1], 0, 'GT')
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
return left == -2 and 1 or 2
