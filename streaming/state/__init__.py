"""What a stage remembers, on Spark's state store: cells and blobs (`store`), blobs decoded and kept
by a worker (`segments`), and on them records by key (`records`) and rows that wait (`waiting`).
"""
