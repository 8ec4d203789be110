"""One file a peer: `prepare(job)` loads the model, and gives what labels the whole video once.

Run by the peer's own Python, without edgevid (but for `edgevid_stream`), so nothing is imported
before `prepare` is called.
"""
