-- Write a batch of models; those that are there already, byte for byte, are left alone, so a batch may be sent twice.
--
-- KEYS[3..] one hash per model. ARGV[3..7] update time, settings id, window start, window end, run id, then WIDTH
-- values per model: member, payload, model_id, recipe_id, n_transactions, format_version.
-- Answers WRITTEN n, CONFLICT member model_id (the same generation holds another model), SUPERSEDED or LOST.

local WIDTH = 6
local now, settings_id, window_start, window_end, run_id = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

-- Before the first value of the model whose key is KEYS[i].
local function before(i)
  return 7 + (i - 3) * WIDTH
end

local refusal = not_ours()
if refusal then
  return refusal
end

local outdated, foreign = {}, {}
for i = 3, #KEYS do
  local at = before(i)
  local held = redis.pcall('HMGET', KEYS[i], 'as_of', 'generation', 'model_id', 'payload', 'recipe_id', 'format_version')
  foreign[i] = held.err ~= nil
  local ours = not foreign[i] and held[1] == AS_OF and held[2] == GENERATION
  if ours and held[3] and held[3] ~= ARGV[at + 3] then
    return {'CONFLICT', ARGV[at + 1], held[3]}
  end
  if not (ours and held[3] and held[4] == ARGV[at + 2] and held[5] == ARGV[at + 4] and held[6] == ARGV[at + 6]) then
    outdated[#outdated + 1] = i
  end
end

if #outdated > 0 then
  -- First of all writes: a complete publication is none while it is mended, and a full server refuses here, before
  -- any key has changed.
  redis.call('HSET', PUBLISHED, 'state', 'writing')
end
for _, i in ipairs(outdated) do
  local at = before(i)
  if foreign[i] then
    redis.call('DEL', KEYS[i])
  end
  redis.call('HSET', KEYS[i], 'payload', ARGV[at + 2], 'model_id', ARGV[at + 3], 'recipe_id', ARGV[at + 4],
    'as_of', AS_OF, 'generation', GENERATION, 'window_start', window_start, 'window_end', window_end,
    'n_transactions', ARGV[at + 5], 'settings_id', settings_id, 'format_version', ARGV[at + 6],
    'run_id', run_id)
  redis.call('ZADD', UPDATES, now, ARGV[at + 1])
end
local unlisted = 0
for i = 3, #KEYS do
  unlisted = unlisted + redis.call('ZADD', UPDATES, 'NX', now, ARGV[before(i) + 1])
end
return {'WRITTEN', #outdated + unlisted}
