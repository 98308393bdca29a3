"""A worker that misbehaves on purpose: it answers requests without looking at any video."""
