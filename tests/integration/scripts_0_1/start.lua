#!lua flags=allow-oom
local P = KEYS[1]
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- A fence no server hands out twice, also one that came back from an older file: microseconds, and always rising.
local ENDED = {queued = false, running = false, canceling = false,
  succeeded = true, failed = true, canceled = true, expired = true}
local NUMBER = {f = true, a = true, n = true, z = true, q = true, o = true, b = true, d = true, y = true}
local OPTIONAL = {w = true, r = true, o = true, b = true, d = true, y = true, h = true}

-- A function that reads these fields of records, the state first: empty ones as false; or nil and whether the record is
-- broken rather than gone. What is known of the fields is looked up once a script, not once a job.
local function reader(...)
  local names, count, number, optional = {...}, select('#', ...), {}, {}
  for i = 1, count do
    number[i], optional[i] = NUMBER[names[i]], OPTIONAL[names[i]]
  end
  return function(member)
    local fields = redis.pcall('HMGET', P .. 'j:' .. member, unpack(names))
    if fields.err then return nil, true end
    local sound, found = ENDED[fields[1]] ~= nil, false
    for i = 1, count do
      local value = fields[i]
      if value and value ~= '' then
        found = true
        sound = sound and (not number[i] or tonumber(value))
      else
        fields[i] = false
        sound = sound and optional[i]
      end
    end
    if sound then return fields end
    return nil, found
  end
end

-- start: a batch enters its forward pass; each of its jobs becomes running and is charged an attempt.
-- touches  P .. 'j:'<m> (state, attempts, begun, batch size; reason removed)
-- ARGV     (member, fence)*
-- reply    one character a job: 1 running, 0 not ours (lease lost, canceled, expired)
local read = reader('s', 'f', 'a', 'w')
local now, answers = now_ms(), {}
for i = 1, #ARGV, 2 do
  local fields = read(ARGV[i])
  local ours = fields and fields[2] == ARGV[i + 1] and fields[4]
  if ours and fields[1] == 'queued' then
    redis.call('HSET', P .. 'j:' .. ARGV[i], 's', 'running', 'a', fields[3] + 1, 'b', now, 'g', #ARGV / 2, 'r', '')
  end
  answers[#answers + 1] = ours and (fields[1] == 'queued' or fields[1] == 'running') and '1' or '0'
end
return table.concat(answers)
