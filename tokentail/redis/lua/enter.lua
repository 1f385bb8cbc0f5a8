-- KEYS: open jobs, the clients that have some, this client's held jobs, its admitted ones, all clients' admitted ones.
-- ARGV: client, job, now, most open jobs in all, most of one client, its share, the workers' slots.
-- Returns {'admitted' or 'held'}, or when there are too many {'full'} or {'client', admitted}. Can be repeated.
local open, clients, held, admitted, all = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local client, job, now = ARGV[1], ARGV[2], ARGV[3]
local entered = redis.call('ZSCORE', held, job) and 'held'
if redis.call('SISMEMBER', admitted, job) == 1 then
  entered = 'admitted'
end
if entered then
  redis.call('ZADD', open, 'NX', now, job) -- a store that lost its tail may have forgotten one half
  redis.call('SADD', clients, client)
  return {entered}
end
local held_count, admitted_count = redis.call('ZCARD', held), redis.call('SCARD', admitted)
if redis.call('ZCARD', open) >= tonumber(ARGV[4]) then
  return {'full'}
end
if held_count + admitted_count >= tonumber(ARGV[5]) then
  return {'client', admitted_count}
end
redis.call('ZADD', open, now, job)
redis.call('SADD', clients, client)
-- A job does not overtake earlier jobs of the same client. Beyond its share a client has slots that nobody waits for.
local has_room = admitted_count < tonumber(ARGV[6]) or redis.call('SCARD', all) < tonumber(ARGV[7])
if held_count == 0 and has_room then
  redis.call('SADD', admitted, job)
  redis.call('SADD', all, job)
  return {'admitted'}
end
redis.call('ZADD', held, now, job)
return {'held'}
