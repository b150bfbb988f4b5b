"""Speech to text. What lives here:

    whisper.py      audio -> Transcript with a local CTranslate2 Whisper; blocking, for a worker thread
    repetition.py   when a decode looks like a loop instead of speech
    splitting.py    utterances longer than Whisper's 30 s, cut where they are quietest
    session.py      one utterance as an SttSession over anything that transcribes whole utterances

Importing this package loads no model library; `whisper.py` does so when a decoder is made.
"""
