#!lua flags=allow-oom
-- progress: how far passes are, as their models say. The newest word of each job, only while it runs and its fence is ours;
-- within an attempt it never goes back.
-- touches  JOB<m> (how far it is P, when that was said A, with which words N; number of the next event); of jobs whose
--          progress is told, OUTBOX with COURIERS and DELIVERY<d> (what the event says)
-- ARGV     (member, fence, fraction of 1, words or '')*
-- reply    one character a job: 1 noted, 0 not ours (lease lost, canceled, ended) or not running
-- Of a job's progress one event waits at a time: whoever takes events slowly is told of fewer, and nothing piles up.
local read = reader('s', 'f', 'a', 'w', 'b', 'h', 'P', 'A')
local now, answers = now_ms(), {}

local function is_waiting(member, hook)
  local last = string.format('%s:%d', member, (tonumber(string.match(hook, '^%d+')) or 1) - 1)
  if not redis.call('ZSCORE', OUTBOX, last) then return false end
  local known = redis.pcall('HMGET', DELIVERY .. last, 'k')
  return not known.err and known[1] == 'job.progress'
end

for i = 1, #ARGV, 4 do
  local member, fraction, words = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local fields = read(member)
  local ours = fields and fields[1] == 'running' and fields[2] == ARGV[i + 1] and fields[4]
  if ours then
    local begun, before, hook, news = fields[5], tonumber(fields[7] or 0), fields[6], {}
    if tonumber(fields[8] or 0) >= tonumber(begun or 0) and before > tonumber(fraction) then fraction = fields[7] end
    if hook and string.find(hook, 'p', 1, true) and not is_waiting(member, hook) then
      news = {'h', post_early(member, hook, 'job.progress', now, fields[3], now, 'b', begun or now, 'p', fraction, 'm', words)}
    end
    redis.call('HSET', JOB .. member, 'P', fraction, 'A', now, 'N', words, unpack(news))
  end
  answers[#answers + 1] = ours and '1' or '0'
end
return table.concat(answers)
