-- KEYS: those of users.lua.
-- ARGV: jobs of this client, each followed by its user.
-- Makes the users and the turns anew of the held and the admitted jobs. Jobs that are not named keep the user that they had.
local user = {}
for _, entry in ipairs(redis.call('ZRANGE', users, 0, -1)) do
  local job, of = string.match(entry, '^job:(%w+):(.*)$')
  if job then
    user[job] = digest(of)
  end
end
for i = 1, #ARGV, 2 do
  user[ARGV[i]] = digest(ARGV[i + 1])
end
redis.call('DEL', users, turns)
local seen = {}
local function add(job, entry)
  redis.call('ZADD', users, 0, 'job:' .. job .. ':' .. (user[job] or ''), 0, entry)
  seen[user[job] or ''] = true
end
for _, job in ipairs(redis.call('SMEMBERS', admitted)) do
  add(job, 'admitted:' .. (user[job] or '') .. ':' .. job)
end
local waiting = redis.call('ZRANGE', held, 0, -1, 'WITHSCORES')
for i = 1, #waiting, 2 do
  if redis.call('SISMEMBER', admitted, waiting[i]) == 1 then
    redis.call('ZREM', held, waiting[i])
  else
    add(waiting[i], 'held:' .. (user[waiting[i]] or '') .. ':' .. timed(waiting[i], waiting[i + 1]))
  end
end
for each in pairs(seen) do
  set_turn(each)
end
return 1
