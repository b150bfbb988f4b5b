"""What a company knows: documents in, passages that answer a caller out.

`chunk` and `coverage` are pure; `index` is the seam to the vectors, with an embedded and a server
implementation; `retrieve` puts them together. Reading PDF, DOCX and CSV ends in `chunk.Document`.
"""
