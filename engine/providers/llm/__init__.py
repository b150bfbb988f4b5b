"""Language models: one client for every OpenAI-compatible server, and the process of a local one.

openai_compatible.py   the LanguageModel, in three dialects
continuation.py        going on with a reply that was begun, without saying its beginning twice
slots.py               which of llama.cpp's slots keeps which call's prefix
server_process.py      a model server as a child process: started with a deadline, never left behind
guard.py               the program that keeps somebody else's server no longer alive than its owner
"""
