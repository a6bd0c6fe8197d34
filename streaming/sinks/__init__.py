"""The stores behind the streams: PostgreSQL decides, the others follow, and each has a twin in
memory.

Every store takes the same epoch twice with the effect of once. Import the module of the store that
is needed; none is imported here, so that a process loads only its own clients.
"""
