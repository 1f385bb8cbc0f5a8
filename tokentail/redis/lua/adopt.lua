-- KEYS: open jobs, the clients that have some, this client's held jobs, its admitted ones.
-- ARGV: client, job, created, 1 if the job runs or is in the queue, else 0.
-- Counts an open job that an index has lost, where it is counted nowhere yet; no limit holds for it.
local open, clients, held, admitted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local client, job, created = ARGV[1], ARGV[2], ARGV[3]
redis.call('ZADD', open, created, job)
redis.call('SADD', clients, client)
if redis.call('ZSCORE', held, job) or redis.call('SISMEMBER', admitted, job) == 1 then
  return 0
end
if ARGV[4] == '1' then
  redis.call('SADD', admitted, job)
else
  redis.call('ZADD', held, created, job)
end
return 1
