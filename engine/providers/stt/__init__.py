"""Speech to text. What lives here:

    whisper.py      audio -> Transcript: the fitting window, loops, silence, long audio; blocking
    ctranslate.py   the model itself: features in, decodes out, no policy
    mel.py          the spectrogram that Whisper and the turn model hear
    batching.py     blocking model work behind an event loop: a bounded queue, worker threads, batches
    repetition.py   when a decode looks like a loop instead of speech
    splitting.py    utterances longer than Whisper's 30 s, cut where they are quietest
    session.py      what every SttSession holds to, and one over anything that takes whole utterances
    vendor.py       the base of cloud vendors; openai.py and groq.py take whole utterances
    live.py         the base of those that listen while the caller speaks: one WebSocket an utterance
    utterance.py    what a live vendor's messages mean, without I/O; in deepgram.py and assemblyai.py

Importing this package loads no model library; `ctranslate.py` does so when a model is loaded.
"""
