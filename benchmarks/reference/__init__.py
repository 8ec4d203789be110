"""Small reference models of every family, written as their papers describe them.

- `networks`: the PyTorch modules.
- `families`: what each takes, is trained on and is exported as.
- `data`: clips and videos of moving shapes.
- `training`: from clips to weights and ONNX files.
"""
