"""What a user would take instead of edgevid, each in a virtual environment of its own.

    python -m edgevid.benchmarks.peers BUNDLE MODEL.onnx [VIDEO]

`environments` makes the environments, `worker` runs in them, `loops` holds one file a peer.
None of what they install is a dependency of edgevid.
"""
