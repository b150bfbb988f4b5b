"""From reply text to what is spoken, and back from what was heard to text. Pure: no I/O, no clock, no models.

clauses     text as it streams from the language model -> pieces worth speaking, the first one early
normalise   a piece as written -> the words to say, with the way back to the written text
heard       how much of a piece's audio was played -> the written words that were heard
"""
