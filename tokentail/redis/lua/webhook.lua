-- ARGV: what the record says of its webhook, and what it shall say from now on; '' when nothing is due any more.
-- Returns 1; 0 when the record says something else: another try has noted its outcome, or the job ended anew.
local noted = look('HGET', record, 'webhook')
if noted ~= ARGV[1] then
  return 0
end
redis.call('PEXPIRE', record, 0, 'GT') -- changes nothing, and comes first for the reason given in vital.lua
if ARGV[2] == '' then
  redis.call('HDEL', record, 'webhook')
else
  redis.call('HSET', record, 'webhook', ARGV[2])
end
return 1
