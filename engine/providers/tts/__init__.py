"""Text to speech: one module a vendor or model, the telephone finish that all share, and the phrase cache."""
