"""The model and the clip that ship with edgevid, made by `edgevid.benchmarks.demo_model`."""
