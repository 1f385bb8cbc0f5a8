-- KEYS: those of users.lua, the jobs that the client submitted in the last minute, the usage of this day.
-- ARGV: client, job, now, most open jobs in all, most of one client, its share, the workers' slots, its most requests a
-- minute and tokens a day ('' for any number), how long the usage is kept, the job's user ('' for none), the most open jobs
-- of a user ('' for any number).
-- Returns {verdict, its admitted jobs, its requests in the last minute, the first and the last of them, its tokens today}.
-- The verdict is admitted or held; or for too many jobs full, client or user, and for a limit requests or tokens. With user,
-- the admitted jobs are the user's. Can be repeated.
local minute, usage = KEYS[8], KEYS[9]
local client, job, now, user = ARGV[1], ARGV[2], ARGV[3], digest(ARGV[11])

-- Reading comes first: the first write is the one that Redis refuses when it is full.
local since = '(' .. (tonumber(now) - 60000)
local requests, first, last = 0, now, now
if ARGV[8] ~= '' then
  requests = redis.call('ZCOUNT', minute, since, now)
  first = redis.call('ZRANGEBYSCORE', minute, since, now, 'WITHSCORES', 'LIMIT', 0, 1)[2] or now
  last = redis.call('ZREVRANGEBYSCORE', minute, now, since, 'WITHSCORES', 'LIMIT', 0, 1)[2] or now
end
local spent = redis.call('HMGET', usage, client .. ':input_tokens', client .. ':output_tokens')
local tokens = (tonumber(spent[1] or '') or 0) + (tonumber(spent[2] or '') or 0)
local held_count, admitted_count = redis.call('ZCARD', held), redis.call('SCARD', admitted)
local function verdict(word)
  return {word, admitted_count, requests, first, last, tokens}
end

local entered = redis.call('ZSCORE', held, job) and 'held'
if redis.call('SISMEMBER', admitted, job) == 1 then
  entered = 'admitted'
end
if entered then
  redis.call('ZADD', open, 'NX', now, job) -- a store that lost its tail may have forgotten one half
  redis.call('SADD', clients, client)
  return verdict(entered)
end
if redis.call('ZCARD', open) >= tonumber(ARGV[4]) then
  return verdict('full')
end
if held_count + admitted_count >= tonumber(ARGV[5]) then
  return verdict('client')
end
if user ~= '' and ARGV[12] ~= '' then
  local user_admitted = count_of('admitted', user)
  if count_of('held', user) + user_admitted >= tonumber(ARGV[12]) then
    admitted_count = user_admitted
    return verdict('user')
  end
end
if ARGV[8] ~= '' and requests >= tonumber(ARGV[8]) then
  return verdict('requests')
end
if ARGV[9] ~= '' and tokens >= tonumber(ARGV[9]) then
  return verdict('tokens')
end
redis.call('ZADD', open, now, job)
redis.call('SADD', clients, client)
if ARGV[8] ~= '' then
  redis.call('ZREMRANGEBYSCORE', minute, '-inf', tonumber(now) - 60000)
  redis.call('ZADD', minute, now, job)
  redis.call('PEXPIRE', minute, 60000)
  requests, last = requests + 1, now
end
if type(redis.pcall('HINCRBY', usage, client .. ':requests', 1)) == 'table' then
  redis.call('HSET', usage, client .. ':requests', 1) -- it was no number
end
redis.call('PEXPIRE', usage, ARGV[10])
-- A job does not overtake jobs that are held already. Beyond its share a client has slots that nobody waits for.
local has_room = admitted_count < tonumber(ARGV[6]) or redis.call('SCARD', all) < tonumber(ARGV[7])
if held_count == 0 and has_room then
  put_in(job, user)
  return verdict('admitted')
end
put_in(job, user, now)
return verdict('held')
