#!lua flags=no-writes
-- held: how many jobs of a tenant workers hold, of those that were claimed under a cap.
-- touches  HELD<tenant> set of m#fence, LEASES (both read only)
-- ARGV     tenant
-- reply    how many
return (held_by(ARGV[1]))
