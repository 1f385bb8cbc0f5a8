-- KEYS: open jobs, the clients that have some, this client's held jobs, its admitted ones, all clients' admitted ones.
-- ARGV: client, its share, the workers' slots, then jobs that have ended.
-- Returns the jobs that may enter the queue now, the oldest first.
local open, clients, held, admitted, all = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- Leaving needs no memory, so a full Redis lets this script go on.
for i = 4, #ARGV do
  redis.call('ZREM', open, ARGV[i])
  redis.call('ZREM', held, ARGV[i])
  redis.call('SREM', admitted, ARGV[i])
  redis.call('SREM', all, ARGV[i])
end
local jobs = {}
-- Its share; and beyond that, slots that nobody waits for.
local room = math.max(tonumber(ARGV[2]) - redis.call('SCARD', admitted), tonumber(ARGV[3]) - redis.call('SCARD', all))
if room > 0 then
  local popped = redis.call('ZPOPMIN', held, math.min(room, 1000))
  for i = 1, #popped, 2 do
    redis.call('SADD', admitted, popped[i])
    redis.call('SADD', all, popped[i])
    jobs[#jobs + 1] = popped[i]
  end
end
if redis.call('EXISTS', held, admitted) == 0 then
  redis.call('SREM', clients, ARGV[1])
end
return jobs
