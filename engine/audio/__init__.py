"""Telephone audio: G.711, WAV, resampling, voice activity, and the two clocks of a call.

Nothing here does network I/O or reads a clock. `segmenter` (what the caller says) and `playout` (what the
caller hears) are sans-I/O and stand at the media edge, one of each for a call; only `vad` needs onnxruntime,
so import modules, not this package.
"""
