-- KEYS: RQ's record of one enqueue of a job, the queue, the set of RQ's queues. ARGV: the RQ id, then the record's fields
-- and values.
-- Returns how many jobs are in the queue then. Can be repeated: an enqueue of which RQ has a record is not made again.
local record, queue, queues = KEYS[1], KEYS[2], KEYS[3]
redis.call('LLEN', queue) -- a key of another type is found before anything is written
redis.call('SADD', queues, queue)
local data = redis.pcall('HEXISTS', record, 'data')
if data ~= 1 then
  if data ~= 0 then
    redis.call('DEL', record) -- another program's: no job of RQ is of another type
  end
  redis.call('HSET', record, unpack(ARGV, 2))
  redis.call('RPUSH', queue, ARGV[1])
end
return redis.call('LLEN', queue)
