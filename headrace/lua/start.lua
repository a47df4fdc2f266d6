#!lua flags=allow-oom
-- start: a batch enters its forward pass; each of its jobs becomes running and is charged an attempt.
-- touches  JOB<m> (state, attempts, begun, batch size; reason removed); of jobs whose start is told, OUTBOX with COURIERS and
--          DELIVERY<d> (what the event says)
-- ARGV     ms since the pass began, (member, fence)*
-- reply    one character a job: 1 running, 0 not ours (lease lost, canceled, expired)
local read = reader('s', 'f', 'a', 'w', 'h')
local now, size, answers = now_ms(), (#ARGV - 1) / 2, {}
local begun = math.floor(now - ARGV[1])
for i = 2, #ARGV, 2 do
  local fields = read(ARGV[i])
  local ours = fields and fields[2] == ARGV[i + 1] and fields[4]
  if ours and fields[1] == 'queued' then
    local hook, attempt, news = fields[5], fields[3] + 1, {}
    if hook and string.find(hook, 's', 1, true) then
      news = {'h', post_early(ARGV[i], hook, 'job.started', begun, attempt, now)}
    end
    redis.call('HSET', JOB .. ARGV[i], 's', 'running', 'a', attempt, 'b', begun, 'g', size, 'r', '', unpack(news))
  end
  answers[#answers + 1] = ours and (fields[1] == 'queued' or fields[1] == 'running') and '1' or '0'
end
return table.concat(answers)
