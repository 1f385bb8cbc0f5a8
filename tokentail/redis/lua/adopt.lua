-- KEYS: open jobs, the clients that have some, this client's held jobs, its admitted ones, all clients' admitted ones.
-- ARGV: client, job, created, 1 if the job runs or is in the queue, else 0.
-- Counts an open job that an index has lost, where it is counted nowhere yet; no limit holds for it.
local open, clients, held, admitted, all = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local client, job, created = ARGV[1], ARGV[2], ARGV[3]
redis.call('ZADD', open, created, job)
redis.call('SADD', clients, client)
local is_admitted = redis.call('SISMEMBER', admitted, job) == 1
if is_admitted then
  redis.call('SADD', all, job)
end
if is_admitted or redis.call('ZSCORE', held, job) then
  return 0
end
if ARGV[4] == '1' then
  redis.call('SADD', admitted, job)
  redis.call('SADD', all, job)
else
  redis.call('ZADD', held, created, job)
end
return 1
