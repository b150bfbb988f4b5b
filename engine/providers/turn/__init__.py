"""End-of-turn models: has the caller finished, or only paused? `smart_turn.py` is the local one."""
