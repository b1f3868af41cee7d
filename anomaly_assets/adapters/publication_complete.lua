-- Let readers have the publication, once it is whole.
--
-- ARGV[3] count. Answers COMPLETED, SHORT n (n models are listed instead of count), SUPERSEDED or LOST.

local refusal = not_ours()
if refusal then
  return refusal
end

local listed = redis.call('ZCARD', UPDATES)
if listed ~= tonumber(ARGV[3]) then
  return {'SHORT', listed}
end
if redis.call('HGET', PUBLISHED, 'state') ~= 'complete' then
  redis.call('HSET', PUBLISHED, 'state', 'complete')
end
return {'COMPLETED'}
