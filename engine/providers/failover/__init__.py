"""A local failure or overload never becomes silence: another provider of the chain answers.

`breaker` and `race` are pure and take the time as an argument; `chains` drives them with real providers.
"""
