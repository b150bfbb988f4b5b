"""The peer: a Pipecat bot behind Twilio's protocol, run with `.venv-peers`. Imports nothing of Parley."""
