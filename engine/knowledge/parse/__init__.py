"""An uploaded file -> its text, page by page, as `engine.knowledge.chunk` wants it.

`sandbox.read_document` is what the rest of Parley calls: it runs everything else here in a process of its
own, because a file from outside can make a parser use all memory or never end. `kind` says what a file is,
`reading` reads it, `pdf`, `word`, `table` and `text` know the formats, and `__main__` is that process.
"""
